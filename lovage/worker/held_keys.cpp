#include <lovage/worker/held_keys.hpp>

#include <lovage/runtime/log.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;
using Clock = LeaseClock::Clock;

/// One call of the state store.
constexpr auto kAttempt = 5s;
/// How long an entry without a lease is tried to be given back.
constexpr auto kPatience = 30s;

}  // namespace

class HeldKeys::Held {
public:
    Held(Executor executor, Entry of, std::string task_name)
        : changed{std::move(executor)}, entry{std::move(of)}, task{std::move(task_name)} {}

    Notifier changed;
    Entry entry;
    std::string task;
    std::optional<LeaseClock> lease;
    bool given_back = false;
    bool gone = false;  // it is another's now
    bool told_of_trouble = false;
    std::optional<Last> last;
    std::function<void()> done;
};

HeldKeys::Handle HeldKeys::hold(Entry entry, std::optional<std::chrono::milliseconds> lease,
                                LeaseClock::Time asked, std::string task) {
    auto held = std::make_shared<Held>(scope_.executor(), std::move(entry), std::move(task));
    if (lease) held->lease.emplace(*lease, asked);
    scope_.spawn("hold a key", keep(held));
    return held;
}

void HeldKeys::give_back(const Handle& held, std::optional<Last> last, std::function<void()> done) {
    held->last = std::move(last);
    held->done = std::move(done);
    held->given_back = true;
    held->changed.notify_all();
}

Awaitable<void> HeldKeys::keep(Handle held) {
    while (!held->given_back) {
        if (!held->lease || held->gone) {
            co_await held->changed.wait();
        } else if (!co_await held->changed.wait(Deadline::at(held->lease->next()))) {
            co_await renew(held);
        }
    }
    co_await end(held);
    if (held->done) std::exchange(held->done, nullptr)();
}

Awaitable<void> HeldKeys::renew(Handle held) {
    const auto asked = Clock::now();
    auto written = co_await core_.state().compare_and_set(held->entry.key, held->entry.version,
                                                          held->entry.value, held->lease->length(),
                                                          Deadline::in(kAttempt));
    if (written) {
        held->entry.version = *written;
        held->lease->renewed(asked);
        held->told_of_trouble = false;
        co_return;
    }
    if (written.error().code == Errc::conflict && co_await find_out(held)) co_return;
    held->lease->failed(Clock::now());
    if (held->lease->may_have_lapsed(Clock::now()) && !std::exchange(held->told_of_trouble, true)) {
        log::warning("worker",
                     "Task {} runs on although its key could not be renewed: another one with that "
                     "key may start ({})",
                     held->task, written.error().message());
    }
}

Awaitable<bool> HeldKeys::find_out(Handle held) {
    auto entry = co_await core_.state().get(held->entry.key, Deadline::in(kAttempt));
    if (!entry) co_return false;
    if (!*entry) {
        held->entry.version = 0;
    } else if ((*entry)->value == held->entry.value) {
        held->entry.version = (*entry)->version;
    } else {
        lost(*held);
    }
    co_return true;
}

void HeldKeys::lost(Held& held) {
    held.gone = true;
    if (held.given_back) return;
    log::warning("worker",
                 "Task {} runs on, but its key is another's now: it could not be renewed in time",
                 held.task);
}

Awaitable<void> HeldKeys::end(Handle held) {
    const auto patience = held->lease ? Clock::duration{held->lease->length()} : kPatience;
    const auto give_up_at = Clock::now() + patience;
    for (Clock::duration wait = 50ms; !held->gone && !co_await write_end(held);
         wait = std::min<Clock::duration>(2 * wait, 1s)) {
        if (Clock::now() + wait >= give_up_at) co_return;
        boost::asio::steady_timer timer{scope_.executor(), wait};
        co_await timer.async_wait(boost::asio::use_awaitable);
    }
}

Awaitable<bool> HeldKeys::write_end(Handle held) {
    const Entry& entry = held->entry;
    const Deadline deadline = Deadline::in(kAttempt);
    Errc problem{};
    if (held->last) {
        auto written = co_await core_.state().compare_and_set(
            entry.key, entry.version, held->last->value, held->last->lifetime, deadline);
        if (written) co_return true;
        problem = written.error().code;
    } else {
        if (entry.version == 0) co_return true;  // it has lapsed
        auto erased = co_await core_.state().compare_and_erase(entry.key, entry.version, deadline);
        if (erased) co_return true;
        problem = erased.error().code;
    }
    if (problem == Errc::conflict) co_await find_out(held);
    co_return held->gone;
}

}  // namespace lovage
