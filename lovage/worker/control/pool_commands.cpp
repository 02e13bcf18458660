// How many slots there are, and new ones in their place.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lovage/worker/control/command.hpp>
#include <lovage/worker/pool.hpp>

#include <fmt/format.h>

namespace lovage::control {
namespace {

/// A number of slots, from 0; also as text, which is what a command line sends at times.
std::optional<std::uint32_t> slots_in(const Json& value) {
    std::optional<std::int64_t> number;
    if (value.is_integer()) number = value.as_int64();
    if (value.is_string()) {
        const auto read = parse_json(value.as_string());
        if (read && read->is_integer()) number = read->as_int64();
    }
    if (!number || *number < 0 || *number > std::int64_t{Pool::kSlotsMost}) return std::nullopt;
    return static_cast<std::uint32_t>(*number);
}

Answer no_slots(std::string_view name) {
    return error(fmt::format("{} should be a whole number from 0 to {}", name, Pool::kSlotsMost));
}

/// Argument `n`, 1 when it is not there.
std::optional<std::uint32_t> slots_wanted(const Call& call) {
    const Json* const n = call.argument("n");
    return n == nullptr ? 1 : slots_in(*n);
}

Answer answer_of(const Result<void>& done, std::string text) {
    return done ? ok(std::move(text)) : error(done.error().detail);
}

Awaitable<Answer> pool_grow(Call call) {
    const auto slots = slots_wanted(call);
    if (!slots) co_return no_slots("n");
    co_return answer_of(call.worker->grow(*slots), "pool will grow");
}

Awaitable<Answer> pool_shrink(Call call) {
    const auto slots = slots_wanted(call);
    if (!slots) co_return no_slots("n");
    co_return answer_of(call.worker->shrink(*slots), "pool will shrink");
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
        const auto number = slots_in(*argument);
        if (!number) co_return no_slots(name);
        *bound = *number;
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
