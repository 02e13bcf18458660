#include <lovage/core/chord_watch.hpp>

#include <ranges>
#include <string_view>
#include <unordered_set>
#include <utility>

#include <lovage/core/signature.hpp>

namespace lovage {
namespace {

std::unexpected<Error> unreadable() {
    return fail(Errc::malformed, "what was noted of the chord is in a form nobody knows");
}

/// The head `[id, parent]` of a tuple, or nullptr.
const Json::Array* head_of(const Json& tuple) {
    if (!tuple.is_array() || tuple.as_array().size() != 2) return nullptr;
    const Json& head = tuple.as_array().front();
    const bool fine =
        head.is_array() && !head.as_array().empty() && head.as_array().front().is_string();
    return fine ? &head.as_array() : nullptr;
}

/// What leads to a part of a chord, or to a group of them.
struct Way {
    std::shared_ptr<const ChordStep> steps;
    std::string group;  ///< That it begins with, if it does.
};

/// What leads to that whose tuple begins with `head`; `outer` leads to the group that it is in.
Way way_to(const Json::Array* head, const Way& outer) {
    std::vector<std::string> steps;
    std::string group;
    while (head->size() > 1) {
        const Json& parent = (*head)[1];
        head = head_of(parent);
        if (head == nullptr) break;
        const bool is_group = parent.as_array().back().is_array();
        const std::string& id = head->front().as_string();
        group = is_group ? id : std::string{};
        if (!is_group) steps.push_back(id);
    }
    // Whatever it begins with itself comes after what leads to its group.
    Way way{outer.steps, outer.steps || !outer.group.empty() ? outer.group : std::move(group)};
    for (std::string& id : std::views::reverse(steps)) {
        way.steps = std::make_shared<const ChordStep>(std::move(id), std::move(way.steps));
    }
    return way;
}

/// Adds the tasks that a result consists of; `index` is its place, `outer` leads to the group that
/// it is in, which is the `depth`th.
Result<void> add_members(const Json& tuple, std::int64_t index, const Way& outer, std::size_t depth,
                         std::vector<ChordMember>& members) {
    const Json::Array* const head = head_of(tuple);
    if (head == nullptr || depth > kCanvasDepthMax) return unreadable();
    Way way = way_to(head, outer);
    if (const Json& inner = tuple.as_array().back(); inner.is_array()) {
        for (const Json& member : inner.as_array()) {
            auto added = add_members(member, index, way, depth + 1, members);
            if (!added) return added;
        }
        return {};
    }
    members.push_back(
        {head->front().as_string(), index, std::move(way.steps), std::move(way.group)});
    return {};
}

}  // namespace

Json encode_chord_watch(Json body, std::string root_id, Json members) {
    return Json::object({{"body", std::move(body)},
                         {"root_id", std::move(root_id)},
                         {"members", std::move(members)}});
}

Result<ChordWatch> read_chord_watch(const Json& watch) {
    auto map = watch.expanded();
    if (!map) return std::unexpected{std::move(map.error())};
    const Json* const body = map->find("body");
    const Json* const root_id = map->find("root_id");
    const Json* const noted = map->find("members");
    if (body == nullptr || root_id == nullptr || !root_id->is_string() || noted == nullptr) {
        return unreadable();
    }
    ChordWatch read{*body, root_id->as_string(), {}};
    auto members = noted->fully_expanded();
    if (!members) return std::unexpected{std::move(members.error())};
    if (members->is_null()) return read;
    if (!members->is_array()) return unreadable();
    std::int64_t index = 0;
    for (const Json& member : members->as_array()) {
        auto added = add_members(member, index++, {}, 0, read.members);
        if (!added) return std::unexpected{std::move(added.error())};
    }
    return read;
}

std::vector<std::string> steps_before(const std::vector<ChordMember>& members) {
    std::vector<std::string> ids;
    std::unordered_set<const ChordStep*> passed;
    std::unordered_set<std::string_view> known;
    for (const ChordMember& member : members) {
        const ChordStep* step = member.before.get();
        for (; step != nullptr && passed.insert(step).second; step = step->before.get()) {
            if (known.insert(step->task_id).second) ids.push_back(step->task_id);
        }
    }
    return ids;
}

}  // namespace lovage
