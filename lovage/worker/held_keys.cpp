#include <lovage/worker/held_keys.hpp>

#include <lovage/runtime/failpoint.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/notifier.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;
using Step = HeldKey::Step;

/// One call of the state store.
constexpr auto kKeyAttempt = 5s;

}  // namespace

struct HeldKeys::Held {
    Held(Executor executor, std::string of, HeldKey state, std::string task_id)
        : changed{std::move(executor)},
          name{std::move(of)},
          key{std::move(state)},
          task{std::move(task_id)} {}

    Notifier changed;
    std::string name;
    HeldKey key;
    std::string task;
    std::function<void()> done;
    bool told_of_trouble = false;
    bool over = false;  // nobody keeps it any more
};

HeldKeys::Handle HeldKeys::hold(Entry entry, std::optional<HeldKey::Lease> lease,
                                std::string task) {
    if (failpoint::left_out(failpoint::Line::key_renewal)) lease.reset();
    auto held = std::make_shared<Held>(scope_.executor(), std::move(entry.key),
                                       HeldKey{std::move(entry.value), entry.version, lease},
                                       std::move(task));
    scope_.spawn("hold a key", keep(held));
    return held;
}

void HeldKeys::give_back(const Handle& held, std::optional<HeldKey::Last> last,
                         std::function<void()> done) {
    if (held->over) {
        if (done) done();
        return;
    }
    held->done = std::move(done);
    held->key.give_back(std::move(last), HeldKey::Clock::now());
    held->changed.notify_all();
}

Awaitable<void> HeldKeys::keep(Handle held) {
    Step step = held->key.next(HeldKey::Clock::now());
    while (step != Step::done) {
        try {
            co_await take_step(step, held);
        } catch (const boost::system::system_error& thrown) {
            if (thrown.code() == boost::asio::error::operation_aborted) break;  // given up
            failed(*held, thrown.what());
        } catch (const std::exception& thrown) {
            failed(*held, thrown.what());
        }
        step = held->key.next(HeldKey::Clock::now());
    }
    held->over = true;
    if (held->done) std::exchange(held->done, nullptr)();
}

Awaitable<void> HeldKeys::take_step(Step step, Handle held) {
    if (step != Step::wait) {
        co_await carry_out(step, held);
    } else if (const auto wake = held->key.wake_at()) {
        co_await held->changed.wait(Deadline::at(*wake));
    } else {
        co_await held->changed.wait();
    }
}

Awaitable<void> HeldKeys::carry_out(Step step, Handle held) {
    StateStore& store = core_.state();
    HeldKey& key = held->key;
    const auto asked = HeldKey::Clock::now();
    const Deadline deadline = Deadline::in(kKeyAttempt);
    Error problem;
    if (step == Step::look) {
        auto found = co_await store.get(held->name, deadline);
        if (found) {
            key.found(*found);
            if (key.lost(asked)) warn(*held, "another one has it now");
            co_return;
        }
        problem = std::move(found.error());
    } else if (step == Step::erase) {
        auto erased = co_await store.compare_and_erase(held->name, key.version(), deadline);
        if (erased) co_return key.given_back();
        problem = std::move(erased.error());
    } else if (step == Step::write_last) {
        auto written = co_await store.compare_and_set(held->name, key.version(), key.last().value,
                                                      key.last().lifetime, deadline);
        if (written) co_return key.given_back();
        problem = std::move(written.error());
    } else {
        auto written = co_await store.compare_and_set(held->name, key.version(), key.value(),
                                                      key.lease(), deadline);
        if (written) {
            held->told_of_trouble = false;
            co_return key.renewed(*written, asked);
        }
        problem = std::move(written.error());
    }
    if (problem.code == Errc::conflict) co_return key.conflicted();
    failed(*held, problem.message());
}

void HeldKeys::failed(Held& held, const std::string& why) {
    const auto now = HeldKey::Clock::now();
    held.key.failed(now);
    if (held.key.may_have_lapsed(now)) warn(held, why);
}

void HeldKeys::warn(Held& held, const std::string& why) {
    if (std::exchange(held.told_of_trouble, true)) return;
    log::warning("worker",
                 "Task {} runs on, although its key could not be renewed in time and another task "
                 "with that key may run: {}",
                 held.task, why);
}

}  // namespace lovage
