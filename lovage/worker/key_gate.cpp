#include <lovage/worker/key_gate.hpp>

#include <lovage/core/time.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/places.hpp>

#include <fmt/format.h>

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// One call of the state store.
constexpr auto kGateAttempt = 5s;
/// Until a question is asked again that found no answer.
constexpr auto kAskAgain = 1s;
/// A record that others write all the time is asked for again later.
constexpr int kGateTries = 4;
/// A worker whose own tasks have had a key's places for that long …
constexpr auto kTurn = 5s;
/// … leaves those that come back to others that wait, who look once a second, …
constexpr auto kHoldBack = 1500ms;
/// … and say that they do, by an entry that lapses after this.
constexpr auto kWaitingLasts = 5s;
/// Keys that are remembered for nothing.
constexpr std::size_t kIdleMost = 1'000;

/// From when on the next attempt waits for its time.
std::optional<TimePoint> eta_after(const TaskOutcome& outcome) {
    return outcome.ending == Ending::retry ? outcome.retry.eta : std::nullopt;
}

/// Not of a sender, whose records name itself only; see holder_of().
bool is_of_an_attempt(const UniqueRecord& record) {
    return record.holder.starts_with(record.task_id + ' ');
}

/// Where a worker without a place says that it waits for one.
std::string waiting_key(const std::string& key) {
    return key + "/waiting";
}

}  // namespace

std::optional<std::string_view> state_after(const TaskOutcome& outcome,
                                            const AckRules& rules) noexcept {
    switch (outcome.ending) {
        case Ending::succeeded:
        case Ending::replaced:
        case Ending::ignored:
            return states::kSuccess;
        case Ending::retry:
            return states::kRetry;
        case Ending::failed:
        case Ending::rejected:
        case Ending::timed_out:
            return states::kFailure;
        case Ending::requeued:
            return states::kPending;
        case Ending::slot_lost:
            return settlement_of(outcome, rules) == Settlement::requeue ? states::kPending
                                                                        : states::kFailure;
        case Ending::revoked:
            return std::nullopt;
    }
    return std::nullopt;
}

KeyGate::KeyGate(AppCore& core, WaitingRoom& waiting, std::string hostname, Hooks hooks)
    : core_{core},
      waiting_{waiting},
      hostname_{std::move(hostname)},
      lease_{core.settings().worker_lease},
      hooks_{std::move(hooks)},
      keys_{core},
      scope_{core.loop().executor()} {}

bool KeyGate::goes_in_line(RequestPtr& request) {
    // Whether a task is a duplicate it is told at once.
    if (!request->place || (request->unique && !request->judged)) return false;
    const std::string& key = request->place->key;
    const auto here = here_.find(key);
    const std::size_t in_use =
        here != here_.end() ? here->second.held + here->second.asking : std::size_t{0};
    const bool fresh = request->in_line_since == Clock::time_point{};
    if (in_use < request->place->most && !(fresh && waiting_.waits_in_line(key))) return false;
    if (request->ticket == 0) request->ticket = waiting_.next_ticket();
    wait_in_line(std::move(request));
    return true;
}

void KeyGate::enter(RequestPtr request, bool starts) {
    if (request->ticket == 0) request->ticket = waiting_.next_ticket();
    if (starts && request->place) {
        sweep();
        const auto [here, made] = here_.try_emplace(request->place->key);
        if (made) here->second.since = Clock::now();
        ++here->second.asking;
    }
    asking_.insert(request);
    scope_.spawn("ask for a key", ask(std::move(request), starts));
}

Awaitable<void> KeyGate::ask(RequestPtr request, bool starts) {
    const std::uint64_t generation = generation_;
    Pass pass;
    std::string first;
    Answer answer = Answer::later;
    try {
        answer = co_await decide(request, starts, &pass, &first);
    } catch (const boost::system::system_error&) {
        throw;  // cancelled
    } catch (const std::exception& thrown) {
        (void)later_because_of({Errc::internal, thrown.what()});
    }
    if (starts && request->place) --here_[request->place->key].asking;
    const bool withdrawn = generation != generation_;
    if (!withdrawn) asking_.erase(request);
    if (withdrawn || answer != Answer::go) {
        let_go(request, std::exchange(pass, {}), states::kPending);
    }
    if (starts && request->place) forget_key(request->place->key);
    if (withdrawn) co_return;
    switch (answer) {
        case Answer::go:
            if (!starts) co_return hooks_.wait(std::move(request));
            passes_.emplace(request, std::move(pass));
            co_return hooks_.start(std::move(request));
        case Answer::in_line:
            co_return wait_in_line(std::move(request));
        case Answer::duplicate:
            hooks_.leave_turn(*request);
            co_return hooks_.duplicate(std::move(request), std::move(first));
        case Answer::again:
        case Answer::later:
            co_return ask_later(std::move(request));
    }
}

Awaitable<KeyGate::Answer> KeyGate::decide(RequestPtr request, bool starts, Pass* pass,
                                           std::string* first) {
    Answer answer = Answer::again;
    for (int attempt = 0; attempt < kGateTries && answer == Answer::again; ++attempt) {
        answer = Answer::go;
        if (request->unique) answer = co_await claim(request, starts, pass, first);
        if (!starts || (answer != Answer::go && answer != Answer::again)) co_return answer;
        if (answer == Answer::go && request->place && !pass->place) {
            answer = co_await find_place(request, pass);
        }
        if (answer == Answer::go && pass->record) answer = co_await begin(request, pass);
    }
    co_return answer;
}

Awaitable<KeyGate::Answer> KeyGate::claim(RequestPtr request, bool starts, Pass* pass,
                                          std::string* first) {
    const UniqueCall& call = *request->unique;
    const Deadline deadline = Deadline::in(kGateAttempt);
    pass->record.reset();
    auto view = co_await look_at_unique(&core_, call, request->message.id, deadline);
    if (!view) co_return later_because_of(view.error());
    told_of_trouble_ = false;
    if (view->standing == Standing::taken || view->standing == Standing::being_sent) {
        // One that was no duplicate when it came is none later: it runs without the key.
        if (request->judged) co_return Answer::go;
        if (view->standing == Standing::being_sent) co_return Answer::later;
        *first = std::move(view->record->task_id);
        co_return Answer::duplicate;
    }
    pass->record = view->version;
    // The claim of a sender that died lapses, and this one may wait for long.
    const bool unsaid = view->standing == Standing::ours &&
                        view->record->state == UniqueRecord::kSending &&
                        (!starts || request->place);
    if ((view->standing == Standing::free || unsaid) && call.counts(states::kPending)) {
        const auto lifetime =
            lifetime_of_waiting(core_, call, request->message.eta, request->message.expires);
        if (lifetime) {
            auto written = co_await core_.state().compare_and_set(
                call.key, view->version, record_of(*request, states::kPending).to_text(), *lifetime,
                deadline);
            if (!written && written.error().code == Errc::conflict) co_return Answer::again;
            if (!written) co_return later_because_of(written.error());
            pass->record = *written;
        }
    }
    request->judged = true;
    co_return Answer::go;
}

Awaitable<KeyGate::Answer> KeyGate::find_place(RequestPtr request, Pass* pass) {
    const PlaceCall& call = *request->place;
    const auto asked = Clock::now();
    auto place =
        co_await take_place(&core_, call, holder_of(*request), lease_, Deadline::in(kGateAttempt));
    if (!place) co_return later_because_of(place.error());
    told_of_trouble_ = false;
    Here& here = here_[call.key];  // this request counts among those that ask
    if (!*place) {
        if (here.held == 0) {  // others have them
            here.since = Clock::now();
            (void)co_await core_.state().compare_and_set(waiting_key(call.key), 0,
                                                         core_.client_id(), kWaitingLasts,
                                                         Deadline::in(kGateAttempt));
        }
        co_return Answer::in_line;
    }
    pass->place =
        keys_.hold(std::move(**place), HeldKey::Lease{lease_, asked}, request->message.id);
    ++here.held;
    if (here.held < call.most) waiting_.wake_line(call.key, std::max(asked, here.since));
    co_return Answer::go;
}

Awaitable<KeyGate::Answer> KeyGate::begin(RequestPtr request, Pass* pass) {
    const UniqueCall& call = *request->unique;
    const Deadline deadline = Deadline::in(kGateAttempt);
    const auto lifetime =
        unique_lifetime(call, revocation_lifetime(core_.settings()), wall_clock_now());
    if (!lifetime) co_return Answer::go;  // the period is over
    HeldKeys::Entry entry{call.key, record_of(*request, states::kStarted).to_text(), 0};
    // What counts when it is done counts all the time, and its message comes again if the worker
    // dies: no moment in between shall leave it without its key. Any other key lapses then.
    const bool lasts = call.counts(states::kSuccess) && request->acknowledge.acks_late;
    const auto lease = lasts ? std::nullopt : std::optional{lease_};
    const auto asked = Clock::now();
    std::optional<Error> problem;
    if (call.counts(states::kStarted)) {
        auto written = co_await core_.state().compare_and_set(call.key, *pass->record, entry.value,
                                                              lease.value_or(*lifetime), deadline);
        if (written) entry.version = *written;
        if (!written) problem = std::move(written.error());
    } else if (*pass->record != 0) {
        auto erased = co_await core_.state().compare_and_erase(call.key, *pass->record, deadline);
        if (!erased) problem = std::move(erased.error());
    }
    if (problem && problem->code == Errc::conflict) co_return Answer::again;
    if (problem) co_return later_because_of(*problem);
    std::optional<HeldKey::Lease> renewed;
    if (entry.version != 0 && lease) {
        renewed = HeldKey::Lease{*lease, asked};
        if (call.period) renewed->until = asked + *lifetime;
    }
    pass->unique = keys_.hold(std::move(entry), renewed, request->message.id);
    co_return Answer::go;
}

void KeyGate::ended(const RequestPtr& request, const TaskOutcome& outcome) {
    auto extracted = passes_.extract(request);
    if (extracted.empty()) return;
    Pass pass = std::move(extracted.mapped());
    const auto state = state_after(outcome, request->acknowledge);
    const auto eta = eta_after(outcome);
    // What keeps the key may be said at once, and before the next attempt begins.
    if (pass.unique && !last_record(*request, state, eta)) {
        ended_.emplace(request, std::exchange(pass.unique, nullptr));
    }
    let_go(request, std::move(pass), state, eta);
}

void KeyGate::given_back(const RequestPtr& request) {
    auto pass = passes_.extract(request);
    if (!pass.empty()) let_go(request, std::move(pass.mapped()), states::kPending);
}

void KeyGate::settled(const RequestPtr& request, const TaskOutcome* outcome) {
    if (!request->unique) return;
    if (auto held = ended_.extract(request); !held.empty()) {
        const auto state =
            outcome != nullptr ? state_after(*outcome, request->acknowledge) : states::kPending;
        const auto eta = outcome != nullptr ? eta_after(*outcome) : std::nullopt;
        return let_go(request, {.unique = std::move(held.mapped())}, state, eta);
    }
    if (outcome == nullptr) return;
    const bool ran = outcome->started != Clock::time_point{};
    const bool failed = ran && outcome->ending == Ending::failed;
    if (!ran || (failed && !request->unique->counts(states::kFailure))) {
        scope_.spawn("forget a key", forget(request));
    }
}

Awaitable<void> KeyGate::forget(RequestPtr request) {
    const Deadline deadline = Deadline::in(kGateAttempt);
    auto view = co_await look_at_unique(&core_, *request->unique, request->message.id, deadline);
    if (!view || view->standing != Standing::ours) co_return;
    // Two messages may have one id, and the other one's attempt may run. What stays is no harm:
    // others see by the task's result that it does not count.
    const bool own = view->record->holder == holder_of(*request);
    if (!own && is_of_an_attempt(*view->record)) co_return;
    (void)co_await core_.state().compare_and_erase(request->unique->key, view->version, deadline);
}

void KeyGate::let_go(const RequestPtr& request, Pass pass, std::optional<std::string_view> state,
                     std::optional<TimePoint> eta) {
    if (pass.unique) keys_.give_back(pass.unique, last_record(*request, state, eta));
    if (pass.place) {
        keys_.give_back(pass.place, std::nullopt,
                        [this, key = request->place->key] { place_came_back(key); });
    }
}

void KeyGate::place_came_back(const std::string& key) {
    Here& here = here_[key];
    --here.held;
    const auto now = Clock::now();
    if (now - here.since < kTurn) {
        waiting_.wake_line(key, std::max(now, here.since));
    } else if (waiting_.waits_in_line(key)) {
        scope_.spawn("let others", let_others(key));
    }
    forget_key(key);
}

Awaitable<void> KeyGate::let_others(std::string key) {
    const auto waiting = co_await core_.state().get(waiting_key(key), Deadline::in(kGateAttempt));
    const bool others = waiting && *waiting && (*waiting)->value != core_.client_id();
    const auto from = Clock::now() + (others ? kHoldBack : 0ms);
    if (const auto here = here_.find(key); here != here_.end()) here->second.since = from;
    waiting_.wake_line(key, from);
}

void KeyGate::forget_key(const std::string& key) {
    const auto here = here_.find(key);
    if (here == here_.end()) return;
    const bool of_use = here->second.held != 0 || here->second.asking != 0;
    if (!of_use && !waiting_.waits_in_line(key)) here_.erase(here);
}

void KeyGate::sweep() {
    // Lines end in ways that are not heard of here: by revocations, at the end of a connection.
    const std::size_t of_use = asking_.size() + passes_.size() + waiting_.held();
    if (here_.size() <= 2 * of_use + kIdleMost) return;
    std::erase_if(
        here_, [](const auto& here) { return here.second.held == 0 && here.second.asking == 0; });
}

std::vector<KeyGate::RequestPtr> KeyGate::withdraw() {
    ++generation_;
    std::vector<RequestPtr> all{asking_.begin(), asking_.end()};
    asking_.clear();
    return all;
}

void KeyGate::close() {
    for (auto& [request, pass] : std::exchange(passes_, {})) {
        let_go(request, std::move(pass), states::kPending);
    }
}

void KeyGate::give_up() noexcept {
    scope_.request_stop();
    keys_.give_up();
}

Awaitable<bool> KeyGate::join(Deadline deadline) {
    for (auto& [request, held] : std::exchange(ended_, {})) {
        let_go(request, {.unique = std::move(held)}, states::kPending);
    }
    // Who asks may hold a key in the end, and a place that comes back may be asked about.
    const bool asked = co_await scope_.join(deadline);
    const bool kept = co_await keys_.join(deadline);
    const bool all = co_await scope_.join(deadline) && asked && kept;
    co_return all;
}

void KeyGate::wait_in_line(RequestPtr request) {
    hooks_.leave_turn(*request);
    const std::string key = request->place->key;
    const auto now = Clock::now();
    const WaitingRoom::InLine in_line = waiting_.hold_in_line(request, now);
    if (in_line == WaitingRoom::InLine::too_long) {
        // Only that the broker hears of it: there is room for it when it comes back.
        waiting_.send_away(std::move(request), kAskAgain);
    } else if (in_line == WaitingRoom::InLine::full) {
        waiting_.send_away(std::move(request), apart_.stay_away(now));
    }
    forget_key(key);
}

void KeyGate::ask_later(RequestPtr request) {
    hooks_.leave_turn(*request);
    if (waiting_.hold_for_turn(request, Clock::now() + kAskAgain)) return;
    waiting_.send_away(std::move(request), kAskAgain);
}

KeyGate::Answer KeyGate::later_because_of(const Error& problem) {
    if (!std::exchange(told_of_trouble_, true)) {
        log::warning("worker",
                     "The state store does not answer ({}): unique tasks and those with a "
                     "concurrency limit wait for it",
                     problem.message());
    }
    return Answer::later;
}

std::string KeyGate::holder_of(const TaskRequest& request) const {
    return fmt::format("{} {} {}-{}", request.message.id, hostname_, core_.client_id(),
                       request.ticket);
}

UniqueRecord KeyGate::record_of(const TaskRequest& request, std::string_view state) const {
    return {request.message.id, std::string{state}, request.unique->sent, holder_of(request)};
}

std::optional<HeldKey::Last> KeyGate::last_record(const TaskRequest& request,
                                                  std::optional<std::string_view> state,
                                                  std::optional<TimePoint> eta) const {
    const UniqueCall& call = *request.unique;
    if (!state || !call.counts(*state)) return std::nullopt;
    const bool waits = !states::is_ready(*state);
    const auto lifetime =
        waits ? lifetime_of_waiting(core_, call, eta, request.message.expires)
              : unique_lifetime(call, revocation_lifetime(core_.settings()), wall_clock_now());
    if (!lifetime) return std::nullopt;
    return HeldKey::Last{record_of(request, *state).to_text(), *lifetime};
}

}  // namespace lovage
