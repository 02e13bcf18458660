#pragma once

#include <lovage/results/state_store.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lovage {

/// A state store that passes everything on to another one, for tests to change a part of.
class WrappedStateStore : public StateStore {
public:
    explicit WrappedStateStore(std::unique_ptr<StateStore> inner)
        : owned_{std::move(inner)}, inner_{*owned_} {}
    /// `inner` must outlive it.
    explicit WrappedStateStore(StateStore& inner) : inner_{inner} {}

    Awaitable<Result<std::optional<StateEntry>>> get(std::string key, Deadline deadline) override {
        return inner_.get(std::move(key), deadline);
    }
    Awaitable<Result<std::uint64_t>> compare_and_set(std::string key, std::uint64_t expected,
                                                     std::string value,
                                                     std::optional<std::chrono::milliseconds> ttl,
                                                     Deadline deadline) override {
        return inner_.compare_and_set(std::move(key), expected, std::move(value), ttl, deadline);
    }
    Awaitable<Result<void>> compare_and_erase(std::string key, std::uint64_t expected,
                                              Deadline deadline) override {
        return inner_.compare_and_erase(std::move(key), expected, deadline);
    }
    Awaitable<Result<std::vector<std::pair<std::string, StateEntry>>>> list(
        std::string prefix, std::size_t limit, Deadline deadline) override {
        return inner_.list(std::move(prefix), limit, deadline);
    }

private:
    std::unique_ptr<StateStore> owned_;
    StateStore& inner_;
};

}  // namespace lovage
