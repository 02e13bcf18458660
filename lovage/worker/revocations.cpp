#include <lovage/worker/revocations.hpp>

#include <lovage/runtime/log.hpp>

#include <chrono>
#include <csignal>
#include <utility>

namespace lovage {

namespace {

/// Reading so many entries costs no more than asking whether there are any.
constexpr std::size_t kFew = 16;

}  // namespace

Awaitable<std::vector<Revocation>> Revocations::look_up(std::vector<std::string> task_ids) {
    std::vector<Revocation> revoked(task_ids.size(), Revocation::none);
    const Deadline deadline = Deadline::in(std::chrono::seconds{5});
    const auto unread = [](const Error& problem) {
        log::warning("worker", "revocations could not be read ({}): tasks run unchecked",
                     problem.message());
    };
    if (task_ids.size() > kFew) {
        // Most of the time nothing is revoked: one look at the prefix instead of one a task.
        auto any = co_await core_.state().list(revocation_key(""), 1, deadline);
        if (!any) unread(any.error());
        if (!any || any->empty()) co_return revoked;
    }
    for (std::string& id : task_ids) id = revocation_key(id);
    auto found = co_await core_.state().get_many(std::move(task_ids), deadline);
    if (!found) {
        unread(found.error());
        co_return revoked;
    }
    for (std::size_t i = 0; i < found->size(); ++i) {
        if ((*found)[i]) revoked[i] = revocation_from((*found)[i]->value);
    }
    co_return revoked;
}

Awaitable<int> Revocations::signal_of(std::string task_id) {
    const auto found =
        co_await core_.state().get(revocation_key(task_id), Deadline::in(std::chrono::seconds{5}));
    co_return found && *found ? revocation_signal((*found)->value) : SIGTERM;
}

}  // namespace lovage
