#include <lovage/app/read_graph.hpp>

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include <lovage/app/app_core.hpp>
#include <lovage/app/canvas_send.hpp>
#include <lovage/app/client.hpp>
#include <lovage/core/canvas.hpp>
#include <lovage/core/chord_watch.hpp>
#include <lovage/core/detail/signature_options.hpp>
#include <lovage/core/signature.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/runtime/for_each.hpp>

namespace lovage::detail {
namespace {

/// Records asked for at a time.
constexpr std::size_t kRecordsAtOnce = 128;
/// Ancestors followed to the root.
constexpr std::size_t kAncestorsMost = 10'000;

using Record = std::optional<TaskMeta>;

Result<Json::Array> array_in(const Json& value) {
    auto opened = value.expanded();
    if (!opened) return std::unexpected{std::move(opened.error())};
    if (!opened->is_array()) return fail(Errc::malformed, "a child in a result is no result");
    return std::move(opened->as_array());
}

Result<void> collect(const Json& tuple, std::vector<std::string>& ids, std::size_t depth) {
    if (depth > kCanvasDepthMax) return canvas_too_deep();
    auto pair = array_in(tuple);
    if (!pair) return std::unexpected{std::move(pair.error())};
    if (pair->size() == 2 && !pair->back().is_null()) {
        auto members = array_in(pair->back());
        if (!members) return std::unexpected{std::move(members.error())};
        for (const Json& member : *members) {
            if (auto done = collect(member, ids, depth + 1); !done) return done;
        }
        return {};
    }
    auto id = id_of_result(tuple);
    if (!id) return std::unexpected{std::move(id.error())};
    ids.push_back(std::move(*id));
    return {};
}

/// Builds the graph level by level. On the app's loop.
class GraphReader {
public:
    GraphReader(std::shared_ptr<AppCore> core, Deadline deadline)
        : core_{std::move(core)}, deadline_{deadline} {}

    /// The oldest ancestor that is stored. Remembers the way to it.
    Awaitable<Result<std::string>> root_of(std::string task_id) {
        for (std::size_t i = 0; i < kAncestorsMost; ++i) {
            auto record = co_await core_->client().result(task_id, deadline_);
            if (!record) co_return std::unexpected{std::move(record.error())};
            if (!*record) {
                if (i > 0) co_return way_.back();
                co_return fail(Errc::not_found, "nothing is stored of task " + task_id);
            }
            way_.push_back(task_id);
            if (!(*record)->parent_id) co_return task_id;
            task_id = *(*record)->parent_id;
        }
        co_return task_id;
    }

    void add_task(const std::string& id) { (void)place_of(id, false); }
    /// `members`: for a group of which nothing was noted.
    Awaitable<Result<void>> add_group(std::string id, std::vector<std::string> members) {
        const std::size_t group = place_of(id, true);
        const auto known = co_await know_chord(id);
        if (!known) co_return std::unexpected{known.error()};
        if (*known) co_return Result<void>{};
        for (const std::string& member : members) connect(group, place_of(member, false));
        co_return Result<void>{};
    }

    Awaitable<Result<ResultGraph>> read() {
        auto done = co_await read_below();
        // A chord's body that no part is known to lead to is known to have a parent.
        for (std::size_t i = way_.size(); done && i-- > 1;) {
            if (places_.contains(way_[i - 1])) continue;
            const std::size_t parent = place_of(way_[i], false);
            connect(parent, place_of(way_[i - 1], false));
            done = co_await read_below();
        }
        if (!done) co_return std::unexpected{std::move(done.error())};
        co_return std::move(graph_);
    }

    /// Everything that what is there leads to.
    Awaitable<Result<void>> read_below() {
        while (!next_.empty() || !groups_.empty()) {
            for (std::string& group : std::exchange(groups_, {})) {
                auto known = co_await know_chord(std::move(group));
                if (!known) co_return std::unexpected{std::move(known.error())};
            }
            if (graph_.nodes.size() > kCanvasMembersMax) {
                co_return fail(Errc::too_large, fmt::format("the workflow has more than {} tasks",
                                                            kCanvasMembersMax));
            }
            std::vector<std::size_t> level = std::exchange(next_, {});
            std::vector<Record> records(level.size());
            const auto ask = [&](std::size_t i) { return read_one(level[i], &records[i]); };
            auto asked =
                co_await for_each_index(level.size(), kRecordsAtOnce, ask, OnFailure::cancel);
            if (!asked) co_return std::unexpected{std::move(asked.error())};
            for (std::size_t i = 0; i < level.size(); ++i) {
                auto followed = co_await follow(level[i], &records[i]);
                if (!followed) co_return std::unexpected{std::move(followed.error())};
            }
        }
        co_return Result<void>{};
    }

    /// Reads what was noted of a chord, if the group is one; true: its parts are in the graph.
    Awaitable<Result<bool>> know_chord(std::string group_id) {
        const auto found = chords_.find(group_id);
        if (found != chords_.end()) co_return found->second.members_known;
        auto noted = co_await core_->client().chord_watch(group_id, deadline_);
        if (!noted) co_return std::unexpected{std::move(noted.error())};
        Chord chord;
        if (*noted) {
            auto watch = read_chord_watch(**noted);
            if (!watch) co_return std::unexpected{std::move(watch.error())};
            chord.members_known = !watch->members.empty();
            chord.ends = add_chord(group_id, *watch);
        }
        const bool known = chord.members_known;
        chords_.emplace(std::move(group_id), std::move(chord));
        co_return known;
    }

private:
    /// The node's place; a new one is looked at with the next level.
    std::size_t place_of(const std::string& id, bool group) {
        const auto [found, added] = places_.try_emplace(id, graph_.nodes.size());
        if (added) {
            graph_.nodes.push_back(
                {id, group, {}, group ? std::string{} : std::string{states::kPending}});
            if (!group) next_.push_back(found->second);
        }
        return found->second;
    }
    void connect(std::size_t from, std::size_t to) {
        if (edges_.insert({from, to}).second) graph_.edges.push_back({from, to});
    }

    Awaitable<Result<void>> read_one(std::size_t place, Record* record) {
        auto found = co_await core_->client().result(graph_.nodes[place].id, deadline_);
        if (!found) co_return std::unexpected{std::move(found.error())};
        *record = std::move(*found);
        co_return Result<void>{};
    }

    Awaitable<Result<void>> follow(std::size_t place, const Record* record) {
        if (!*record) co_return Result<void>{};
        const TaskMeta& meta = **record;
        graph_.nodes[place].state = meta.status;
        const Json* const name = meta.extra.find("name");
        if (name != nullptr && name->is_string()) graph_.nodes[place].name = name->as_string();
        auto children = read_children(meta.children);
        if (!children) co_return std::unexpected{std::move(children.error())};
        for (const ChildResult& child : *children) {
            connect(place, place_of(child.id, child.group));
            if (!child.group) continue;
            auto added = co_await add_group(child.id, child.members);
            if (!added) co_return added;
        }
        if (!meta.group_id) co_return Result<void>{};
        auto known = co_await know_chord(*meta.group_id);
        if (!known) co_return std::unexpected{std::move(known.error())};
        for (const std::size_t body : chords_.at(*meta.group_id).ends) connect(place, body);
        co_return Result<void>{};
    }

    /// Returns what its parts lead to.
    std::vector<std::size_t> add_chord(const std::string& group_id, const ChordWatch& watch) {
        std::vector<std::size_t> ends;
        const auto body = decode_signature(watch.body, "the body of the chord");
        const auto calls = body ? unreached_calls(*body) : Result<std::vector<UnreachedCall>>{};
        if (body && calls && !calls->empty()) {
            // Of a chain the first one; the others are its children.
            const std::size_t count = body->type == SignatureType::group ? calls->size() : 1;
            for (std::size_t i = 0; i < count; ++i) {
                const std::size_t end = place_of((*calls)[i].task_id, false);
                std::string& name = graph_.nodes[end].name;
                if (name.empty()) name = (*calls)[i].task;
                ends.push_back(end);
            }
        }
        for (const ChordMember& member : watch.members) {
            // A chain stands below the group with its first step.
            const bool begins_with_group = !member.group.empty();
            const ChordStep* step = member.before.get();
            while (step != nullptr && step->before) step = step->before.get();
            const std::string& first = begins_with_group ? member.group
                                       : step == nullptr ? member.task_id
                                                         : step->task_id;
            connect(place_of(group_id, true), place_of(first, begins_with_group));
            if (begins_with_group) groups_.push_back(member.group);
            const std::size_t part = place_of(member.task_id, false);
            for (const std::size_t end : ends) connect(part, end);
        }
        return ends;
    }

    struct PairHash {
        std::size_t operator()(const std::pair<std::size_t, std::size_t>& pair) const noexcept {
            return std::hash<std::size_t>{}(pair.first * 1'000'003U + pair.second);
        }
    };

    std::shared_ptr<AppCore> core_;
    Deadline deadline_;
    ResultGraph graph_;
    std::unordered_map<std::string, std::size_t> places_;
    std::unordered_set<std::pair<std::size_t, std::size_t>, PairHash> edges_;
    struct Chord {
        bool members_known = false;
        std::vector<std::size_t> ends;  ///< What its parts lead to.
    };
    std::unordered_map<std::string, Chord> chords_;
    std::vector<std::size_t> next_;
    std::vector<std::string> groups_;  ///< Noted as chords, perhaps; to be looked at.
    std::vector<std::string> way_;     ///< From the task that was asked for to its root.
};

}  // namespace

Result<ChildResult> read_child(const Json& tuple) {
    auto id = id_of_result(tuple);
    if (!id) return std::unexpected{std::move(id.error())};
    ChildResult child{std::move(*id), false, {}};
    auto pair = array_in(tuple);
    if (!pair) return std::unexpected{std::move(pair.error())};
    child.group = pair->size() == 2 && !pair->back().is_null();
    if (!child.group) return child;
    if (auto done = collect(tuple, child.members, 0); !done) {
        return std::unexpected{std::move(done.error())};
    }
    return child;
}

Result<std::vector<ChildResult>> read_children(const Json& children) {
    std::vector<ChildResult> read;
    auto list = children.expanded();
    if (!list) return std::unexpected{std::move(list.error())};
    if (!list->is_array()) return read;
    for (const Json& tuple : list->as_array()) {
        auto child = read_child(tuple);
        if (!child) return std::unexpected{std::move(child.error())};
        read.push_back(std::move(*child));
    }
    return read;
}

Awaitable<Result<ResultGraph>> read_graph(std::shared_ptr<AppCore> core, std::string task_id,
                                          Deadline deadline) {
    if (auto connected = co_await core->connect(deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    GraphReader reader{core, deadline};
    auto root = co_await reader.root_of(task_id);
    if (!root && root.error().code == Errc::not_found) {
        // A group has no result of its own.
        auto saved = co_await core->client().saved_group(task_id, deadline);
        if (saved && *saved) {
            auto group = read_child(**saved);
            if (!group) co_return std::unexpected{std::move(group.error())};
            auto added = co_await reader.add_group(group->id, group->members);
            if (!added) co_return std::unexpected{std::move(added.error())};
            co_return co_await reader.read();
        }
        auto chord = co_await reader.know_chord(task_id);
        if (chord && *chord) co_return co_await reader.read();
    }
    if (!root) co_return std::unexpected{std::move(root.error())};
    reader.add_task(*root);
    co_return co_await reader.read();
}

Awaitable<Result<ResultGraph>> read_group_graph(std::shared_ptr<AppCore> core, std::string group_id,
                                                std::vector<std::string> members,
                                                Deadline deadline) {
    if (auto connected = co_await core->connect(deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    GraphReader reader{core, deadline};
    auto added = co_await reader.add_group(std::move(group_id), std::move(members));
    if (!added) co_return std::unexpected{std::move(added.error())};
    co_return co_await reader.read();
}

}  // namespace lovage::detail
