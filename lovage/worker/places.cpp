#include <lovage/worker/places.hpp>

#include <fmt/format.h>

#include <functional>
#include <utility>

namespace lovage {

namespace {

/// Others may be after the same place; who loses that often asks again later.
constexpr int kPlaceTries = 4;

}  // namespace

std::optional<PlaceCall> place_call(const TaskDefinition& task, const Json& args,
                                    const Json& kwargs) {
    const auto& limit = task.options.concurrency_limit;
    if (!limit) return std::nullopt;
    const auto key = key_of_call(task, limit->key, false, args, kwargs);
    if (!key) return std::nullopt;
    return PlaceCall{fmt::format("concurrency/{}/{}", task.name, *key), limit->most};
}

std::optional<std::size_t> choose_place(const std::vector<std::optional<StateEntry>>& places,
                                        std::string_view own, std::size_t from) noexcept {
    for (std::size_t i = 0; i < places.size(); ++i) {
        if (places[i] && places[i]->value == own) return i;
    }
    for (std::size_t i = 0; i < places.size(); ++i) {
        const std::size_t place = (from + i) % places.size();
        if (!places[place]) return place;
    }
    return std::nullopt;
}

Awaitable<Result<std::optional<HeldKeys::Entry>>> take_place(AppCore* core, PlaceCall call,
                                                             std::string value,
                                                             std::chrono::milliseconds lease,
                                                             Deadline deadline) {
    std::vector<std::string> keys;
    keys.reserve(call.most);
    for (std::size_t i = 0; i < call.most; ++i) keys.push_back(fmt::format("{}/{}", call.key, i));
    // Each from a place of its own, so that not all are after the first one.
    const std::size_t from = std::hash<std::string>{}(value);
    for (int attempt = 0; attempt < kPlaceTries; ++attempt) {
        auto places = co_await core->state().get_many(keys, deadline);
        if (!places) co_return std::unexpected{std::move(places.error())};
        const auto place = choose_place(*places, value, from);
        if (!place) co_return std::nullopt;
        const auto& there = (*places)[*place];
        auto written = co_await core->state().compare_and_set(
            keys[*place], there ? there->version : 0, value, lease, deadline);
        if (written) co_return HeldKeys::Entry{keys[*place], std::move(value), *written};
        if (written.error().code != Errc::conflict) {
            co_return std::unexpected{std::move(written.error())};
        }
    }
    co_return std::nullopt;
}

}  // namespace lovage
