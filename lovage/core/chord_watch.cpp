#include <lovage/core/chord_watch.hpp>

#include <ranges>
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

/// What leads to a member whose tuple begins with `head`.
void add_before(const Json::Array* head, ChordMember& member) {
    while (head->size() > 1) {
        const Json& parent = (*head)[1];
        head = head_of(parent);
        if (head == nullptr) break;
        const bool group = parent.as_array().back().is_array();
        const std::string& id = head->front().as_string();
        member.group = group ? id : std::string{};
        if (!group) member.before.push_back(id);
    }
}

/// Adds the tasks that a result consists of; `index` is its place. `groups`: the heads of the
/// groups that it is in, the nearest last: what leads to one of them leads to it.
Result<void> add_members(const Json& tuple, std::int64_t index, std::vector<ChordMember>& members,
                         std::vector<const Json::Array*>& groups) {
    const Json::Array* const head = head_of(tuple);
    if (head == nullptr || groups.size() > kCanvasDepthMax) return unreadable();
    if (const Json& inner = tuple.as_array().back(); inner.is_array()) {
        groups.push_back(head);
        for (const Json& member : inner.as_array()) {
            auto added = add_members(member, index, members, groups);
            if (!added) return added;
        }
        groups.pop_back();
        return {};
    }
    ChordMember member{head->front().as_string(), index, {}};
    add_before(head, member);
    for (const Json::Array* const group : std::views::reverse(groups)) add_before(group, member);
    members.push_back(std::move(member));
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
        std::vector<const Json::Array*> groups;
        auto added = add_members(member, index++, read.members, groups);
        if (!added) return std::unexpected{std::move(added.error())};
    }
    return read;
}

}  // namespace lovage
