#pragma once

#include <lovage/app/client.hpp>

#include <optional>
#include <string>

namespace lovage {

/// A client that sends nothing, stores nothing and knows nothing, and says so politely: tests
/// override what they look at.
class SilentClient : public Client {
public:
    Awaitable<Result<void>> send(TaskSend, Deadline) override { co_return Result<void>{}; }
    Awaitable<Result<void>> start_chord(ChordStart, Deadline) override { co_return Result<void>{}; }
    Awaitable<Result<void>> end_chord(std::string, Deadline) override { co_return Result<void>{}; }
    Awaitable<Result<void>> mark_sent(std::string, Deadline) override { co_return Result<void>{}; }
    Awaitable<Result<void>> save_group(std::string, Json, Deadline) override {
        co_return Result<void>{};
    }
    Awaitable<Result<std::optional<Json>>> saved_group(std::string, Deadline) override {
        co_return std::nullopt;
    }
    Awaitable<Result<void>> forget_group(std::string, Deadline) override {
        co_return Result<void>{};
    }
    Awaitable<Result<std::optional<TaskMeta>>> result(std::string, Deadline) override {
        co_return std::nullopt;
    }
    Awaitable<Result<TaskMeta>> wait(std::string, Deadline) override {
        co_return fail(Errc::deadline_exceeded, "");
    }
    Awaitable<Result<void>> forget(std::string, Deadline) override { co_return Result<void>{}; }
    Awaitable<Result<bool>> is_known(std::string, Deadline) override { co_return false; }
    Awaitable<Result<void>> revoke(std::string, RevokeOptions, Deadline) override {
        co_return Result<void>{};
    }
};

}  // namespace lovage
