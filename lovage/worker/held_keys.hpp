#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/held_key.hpp>

namespace lovage {

/// Entries of the state store that tasks of this worker hold while they run: renewed until they are
/// given back, so that those of a worker that dies lapse. HeldKey decides, this asks the store.
///
/// Belongs to the worker's loop. Ends by join(), or by give_up() and join().
class HeldKeys {
public:
    struct Held;
    using Handle = std::shared_ptr<Held>;

    /// As the store has it, written by us and by nobody else; version 0: it is to be written at the
    /// end only.
    struct Entry {
        std::string key;
        std::string value;
        std::uint64_t version = 0;
    };

    /// Lifetime: `core` must outlive the keys.
    explicit HeldKeys(AppCore& core) : core_{core}, scope_{core.loop().executor()} {}

    /// See HeldKey. `task` is whom the log speaks of.
    [[nodiscard]] Handle hold(Entry entry, std::optional<HeldKey::Lease> lease, std::string task);
    /// Once for each. `done` is called when it is gone, or left to lapse, whatever the store did.
    void give_back(const Handle& held, std::optional<HeldKey::Last> last,
                   std::function<void()> done = {});

    /// Ends what is under way; entries that are held lapse.
    void give_up() noexcept { scope_.request_stop(); }
    [[nodiscard]] Awaitable<bool> join(Deadline deadline) { return scope_.join(deadline); }

private:
    Awaitable<void> keep(Handle held);
    Awaitable<void> take_step(HeldKey::Step step, Handle held);
    Awaitable<void> carry_out(HeldKey::Step step, Handle held);
    /// The store did not do it: tried again a moment later.
    static void failed(Held& held, const std::string& why);
    /// Says once that a task runs on without its key.
    static void warn(Held& held, const std::string& why);

    AppCore& core_;
    TaskScope scope_;
};

}  // namespace lovage
