// How many slots there are, and new ones in their place.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include <lovage/worker/control/command.hpp>

#include <fmt/format.h>

namespace lovage::control {
namespace {

/// Slots beyond that are a mistake.
constexpr std::int64_t kSlotsMost = 100'000;
/// So many a pool has at most.
constexpr std::int64_t kBoundMost = 1024;

/// A whole number from 0; also as text, which is what a command line sends at times.
std::optional<std::int64_t> whole_number(const Json& value) {
    std::optional<std::int64_t> number;
    if (value.is_integer()) number = value.as_int64();
    if (value.is_string()) {
        const auto read = parse_json(value.as_string());
        if (read && read->is_integer()) number = read->as_int64();
    }
    if (!number || *number < 0 || *number > kSlotsMost) return std::nullopt;
    return number;
}

/// Argument `n`, 1 when it is not there.
std::optional<std::int64_t> slots_wanted(const Call& call) {
    const Json* const n = call.argument("n");
    return n == nullptr ? 1 : whole_number(*n);
}

Answer answer_of(const Result<void>& done, std::string text) {
    return done ? ok(std::move(text)) : error(done.error().detail);
}

Awaitable<Answer> pool_grow(Call call) {
    const auto slots = slots_wanted(call);
    if (!slots) co_return error("n should be a whole number");
    co_return answer_of(call.worker->grow(static_cast<std::size_t>(*slots)), "pool will grow");
}

Awaitable<Answer> pool_shrink(Call call) {
    const auto slots = slots_wanted(call);
    if (!slots) co_return error("n should be a whole number");
    co_return answer_of(call.worker->shrink(static_cast<std::size_t>(*slots)), "pool will shrink");
}

/// Celery differs: it wants the setting `worker_pool_restarts`, and can import modules anew, which
/// a compiled program has none of.
Awaitable<Answer> pool_restart(Call call) {
    co_return answer_of(call.worker->restart_pool(), "reload started");
}

Awaitable<Answer> autoscale(Call call) {
    const auto bounds = call.worker->autoscale();
    if (!bounds) co_return raised("ValueError", "Autoscale not enabled");
    AutoscaleRange wanted = *bounds;
    for (const auto& [name, bound] :
         {std::pair{"max", &wanted.max}, std::pair{"min", &wanted.min}}) {
        const Json* const argument = call.argument(name);
        if (argument == nullptr) continue;
        const auto number = whole_number(*argument);
        if (!number || *number > kBoundMost) {
            co_return error(
                fmt::format("{} should be a whole number, {} at most", name, kBoundMost));
        }
        *bound = static_cast<std::uint32_t>(*number);
    }
    const auto set = call.worker->set_autoscale(wanted);
    if (!set) co_return error(set.error().detail);
    co_return ok(fmt::format("autoscale now max={} min={}", set->max, set->min));
}

constexpr std::string_view kBounds[]{"max", "min"};

}  // namespace

std::span<const Command> pool_commands() {
    static constexpr Command kCommands[]{
        {"pool_grow", "", {}, std::nullopt, pool_grow},
        {"pool_shrink", "", {}, std::nullopt, pool_shrink},
        {"pool_restart", "", {}, std::nullopt, pool_restart},
        {"autoscale", "", {}, std::span<const std::string_view>{kBounds}, autoscale},
    };
    return kCommands;
}

}  // namespace lovage::control
