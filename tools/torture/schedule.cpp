#include "schedule.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include <fmt/format.h>

namespace lovage::torture {

namespace {

using std::chrono::milliseconds;

/// What is known of a kind of fault beforehand.
struct Kind {
    FaultKind kind;
    std::string_view text;
    bool on_rabbitmq;
    bool on_sqlite;
    unsigned weight;  ///< How often it is among the cards.
    bool slow;        ///< Takes tens of seconds to be over or to be noticed.
    milliseconds shortest{0};
    milliseconds longest{0};
    milliseconds aftermath{0};  ///< What it takes to be noticed, or a server to start.
};

constexpr std::array kKinds{
    Kind{FaultKind::kill_worker, "kill -9 of a worker", true, true, 3, false},
    Kind{FaultKind::stop_worker, "SIGSTOP of a worker", true, true, 2, false, milliseconds{300},
         milliseconds{3000}},
    Kind{FaultKind::suspend_worker, "SIGSTOP of a worker", true, true, 1, true,
         milliseconds{22'000}, milliseconds{26'000}},
    Kind{FaultKind::end_worker, "SIGTERM to a worker", true, true, 2, false},
    Kind{FaultKind::kill_slot, "kill -9 of a slot", true, true, 4, false},
    Kind{FaultKind::stop_slot, "SIGSTOP of a slot", true, true, 2, false, milliseconds{500},
         milliseconds{3000}},
    Kind{FaultKind::kill_producer, "kill -9 of a producer", true, true, 2, false},
    Kind{FaultKind::stop_producer, "SIGSTOP of a producer", true, true, 1, false, milliseconds{500},
         milliseconds{4000}},
    Kind{FaultKind::kill_rabbitmq, "kill -9 of RabbitMQ", true, false, 1, true, milliseconds{0},
         milliseconds{3000}, milliseconds{6000}},
    Kind{FaultKind::stop_rabbitmq, "SIGSTOP of RabbitMQ", true, false, 2, false, milliseconds{300},
         milliseconds{4000}},
    Kind{FaultKind::close_by_operator, "close_all_connections by RabbitMQ's operator", true, false,
         1, false, milliseconds{0}, milliseconds{0}, milliseconds{2000}},
    Kind{FaultKind::reset_broker, "RST to all connections to RabbitMQ", true, false, 3, false},
    Kind{FaultKind::close_broker, "FIN to all connections to RabbitMQ", true, false, 2, false},
    Kind{FaultKind::silence_broker, "all connections to RabbitMQ fall silent", true, false, 1, true,
         milliseconds{0}, milliseconds{0}, milliseconds{18'000}},
    Kind{FaultKind::forget_clients, "RabbitMQ forgets its clients, who do not hear of it", true,
         false, 1, true, milliseconds{0}, milliseconds{0}, milliseconds{18'000}},
    Kind{FaultKind::kill_redis, "kill -9 of Redis", true, false, 2, false, milliseconds{0},
         milliseconds{2000}},
    Kind{FaultKind::stop_redis, "SIGSTOP of Redis", true, false, 2, false, milliseconds{300},
         milliseconds{4000}},
    Kind{FaultKind::reset_results, "RST to all connections to Redis", true, false, 2, false},
    Kind{FaultKind::close_results, "FIN to all connections to Redis", true, false, 1, false},
    Kind{FaultKind::silence_results, "all connections to Redis fall silent", true, false, 1, true,
         milliseconds{0}, milliseconds{0}, milliseconds{18'000}},
    Kind{FaultKind::lock_broker, "the broker's file locked by another process", false, true, 3,
         false, milliseconds{200}, milliseconds{4000}},
    Kind{FaultKind::lock_results, "the results' file locked by another process", false, true, 3,
         false, milliseconds{200}, milliseconds{4000}},
};

/// Standard distributions may differ between libraries; this is part of what a seed means.
class Dice {
public:
    explicit Dice(std::uint64_t seed) : engine_{seed} {}
    std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }

private:
    std::mt19937_64 engine_;
};

/// A deck that is shuffled again whenever it is empty.
class Deck {
public:
    explicit Deck(std::vector<const Kind*> cards) : cards_{std::move(cards)} {}

    const Kind& deal(Dice& dice) {
        if (left_.empty()) {
            left_ = cards_;
            for (std::size_t i = left_.size(); i > 1; --i) {
                std::swap(left_[i - 1], left_[dice.below(i)]);
            }
        }
        const Kind* const card = left_.back();
        left_.pop_back();
        return *card;
    }

private:
    std::vector<const Kind*> cards_;
    std::vector<const Kind*> left_;
};

/// Between the end of a fault and the next: long enough to see that work goes at its rate again.
constexpr milliseconds kBetween{3000};

const Kind& about(FaultKind kind) {
    return *std::ranges::find(kKinds, kind, &Kind::kind);
}

milliseconds time_of(const PlannedFault& fault) {
    return fault.duration + about(fault.kind).aftermath + kBetween;
}

bool befalls(const Kind& kind, Stack stack) {
    return stack == Stack::rabbitmq ? kind.on_rabbitmq : kind.on_sqlite;
}

Deck deck_of(Stack stack, bool slow) {
    std::vector<const Kind*> cards;
    for (const Kind& kind : kKinds) {
        if (befalls(kind, stack) && kind.slow == slow)
            cards.insert(cards.end(), kind.weight, &kind);
    }
    return Deck{std::move(cards)};
}

}  // namespace

std::string_view to_string(Stack stack) {
    return stack == Stack::rabbitmq ? "rabbitmq" : "sqlite";
}

std::vector<PlannedFault> make_schedule(const Plan& plan) {
    constexpr std::uint32_t kSlowEvery = 10;
    Dice dice{plan.seed};
    Deck quick = deck_of(plan.stack, false);
    Deck slow = deck_of(plan.stack, true);
    std::vector<PlannedFault> schedule;
    for (std::uint32_t i = 0; i < plan.faults; ++i) {
        const Kind& kind = (i + 1) % kSlowEvery == 0 ? slow.deal(dice) : quick.deal(dice);
        const auto span = static_cast<std::uint64_t>((kind.longest - kind.shortest).count());
        schedule.push_back({.kind = kind.kind,
                            .duration = kind.shortest + milliseconds{dice.below(span + 1)},
                            .pick = static_cast<std::uint32_t>(dice.below(1'000'000))});
    }
    const auto all = static_cast<std::uint64_t>(length_of(schedule).count());
    auto begin = kBetween;
    for (PlannedFault& fault : schedule) {
        const auto before = static_cast<std::uint64_t>(begin.count());
        fault.after = static_cast<std::uint32_t>(std::uint64_t{plan.tasks} * before / all);
        begin += time_of(fault);
    }
    return schedule;
}

milliseconds length_of(const std::vector<PlannedFault>& schedule) {
    auto all = kBetween;
    for (const PlannedFault& fault : schedule) all += time_of(fault);
    return all;
}

std::string describe(const PlannedFault& fault) {
    const Kind& kind = about(fault.kind);
    const std::chrono::duration<double> seconds = fault.duration;
    if (kind.longest == milliseconds{0}) return std::string{kind.text};
    return fmt::format("{} for {:.1f} s", kind.text, seconds.count());
}

std::vector<FaultKind> kinds_of(Stack stack) {
    std::vector<FaultKind> kinds;
    for (const Kind& kind : kKinds) {
        if (befalls(kind, stack)) kinds.push_back(kind.kind);
    }
    return kinds;
}

}  // namespace lovage::torture
