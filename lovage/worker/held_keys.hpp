#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/lease_clock.hpp>

namespace lovage {

/// Entries of the state store that tasks of this worker hold while they run: renewed until they are
/// given back, so that those of a worker that dies lapse.
///
/// While the store is away they are tried again; one that lapsed meanwhile is taken anew when
/// nobody else has, else it is lost, which is logged. Belongs to the worker's loop.
class HeldKeys {
public:
    class Held;
    using Handle = std::shared_ptr<Held>;

    /// As the store has it, written by us and by nobody else.
    struct Entry {
        std::string key;
        std::string value;  ///< Like no other's, so that what was written unheard is recognised.
        std::uint64_t version = 0;
    };
    /// What an entry becomes that shall not go when it is given back.
    struct Last {
        std::string value;
        std::chrono::milliseconds lifetime;
    };

    /// Lifetime: `core` must outlive the keys.
    explicit HeldKeys(AppCore& core) : core_{core}, scope_{core.loop().executor()} {}

    /// Renews an entry that was asked for at `asked`; without `lease` it has no need of that.
    /// `task` is whom the log speaks of.
    [[nodiscard]] Handle hold(Entry entry, std::optional<std::chrono::milliseconds> lease,
                              LeaseClock::Time asked, std::string task);
    /// Once for each. Takes the entry away, or makes it `last`, and calls `done`; at the latest
    /// when it would have lapsed.
    void give_back(const Handle& held, std::optional<Last> last, std::function<void()> done = {});

    /// Ends what is under way; entries that are held lapse.
    void give_up() noexcept { scope_.request_stop(); }
    [[nodiscard]] Awaitable<bool> join(Deadline deadline) { return scope_.join(deadline); }

private:
    Awaitable<void> keep(Handle held);
    Awaitable<void> renew(Handle held);
    /// Somebody else has written the entry, or it has lapsed, or a write of ours was not heard of:
    /// finds out which. False: it is not known yet.
    Awaitable<bool> find_out(Handle held);
    Awaitable<void> end(Handle held);
    /// One try; true: there is nothing more to do.
    Awaitable<bool> write_end(Handle held);
    void lost(Held& held);

    AppCore& core_;
    TaskScope scope_;
};

}  // namespace lovage
