#include <lovage/core/canvas.hpp>

#include <iterator>
#include <utility>

#include <fmt/format.h>

#include <lovage/core/detail/signature_options.hpp>
#include <lovage/core/result_tuple.hpp>
#include <lovage/core/uuid.hpp>

namespace lovage {
namespace {

using detail::canvas_too_deep;
using detail::OptionReader;

// ---- Ids

class Freezer {
public:
    Freezer(std::string_view parent_id, std::string_view reply_to,
            std::vector<std::string>* made_groups)
        : parent_id_{parent_id}, reply_to_{reply_to}, made_groups_{made_groups} {}

    Result<void> freeze(Signature& signature, const std::string& position,
                        const std::string& task_id, std::size_t depth) {
        if (depth > kCanvasDepthMax) return canvas_too_deep();
        switch (signature.type) {
            case SignatureType::task:
                give_id(signature, position, task_id);
                if (!reply_to_.empty() && signature.option("reply_to") == nullptr) {
                    signature.options.set("reply_to", reply_to_);
                }
                return {};
            case SignatureType::chain:
                return freeze_chain(signature, position, task_id, depth);
            case SignatureType::group:
                give_id(signature, position, task_id);
                return freeze_members(signature, position, {}, depth);
            case SignatureType::chord:
                return freeze_chord(signature, position, task_id, depth);
        }
        return {};
    }

private:
    void give_id(Signature& signature, const std::string& position, const std::string& task_id) {
        if (signature.option("task_id") != nullptr) return;
        std::string id = task_id.empty() ? follow_up_id(parent_id_, position) : task_id;
        if (made_groups_ != nullptr && signature.type == SignatureType::group) {
            made_groups_->push_back(id);
        }
        signature.options.set("task_id", std::move(id));
    }

    Result<void> freeze_chain(Signature& chain, const std::string& position,
                              const std::string& task_id, std::size_t depth) {
        return freeze_members(chain, position, task_id, depth);
    }

    Result<void> freeze_members(Signature& canvas, const std::string& position,
                                const std::string& last_id, std::size_t depth) {
        auto tasks = tasks_of(canvas);
        if (!tasks) return std::unexpected{std::move(tasks.error())};
        for (std::size_t i = 0; i < tasks->size(); ++i) {
            Signature& task = (*tasks)[i];
            std::string id;
            if (i + 1 == tasks->size()) {
                id = last_id;
                const bool named = canvas.type == SignatureType::chain && id.empty();
                if (named && task.type != SignatureType::group) id = canvas.task_id();
            }
            auto frozen = freeze(task, fmt::format("{}/{}", position, i), id, depth + 1);
            if (!frozen) return frozen;
        }
        set_tasks(canvas, *tasks);
        return {};
    }

    Result<void> freeze_chord(Signature& chord, const std::string& position,
                              const std::string& task_id, std::size_t depth) {
        auto parts = parts_of(chord);
        if (!parts) return std::unexpected{std::move(parts.error())};
        auto header = freeze(parts->header, position + "/header", {}, depth + 1);
        if (!header) return header;
        auto body = freeze(parts->body, position + "/body", task_id, depth + 1);
        if (!body) return body;
        set_parts(chord, *parts);
        return {};
    }

    std::string_view parent_id_;
    std::string_view reply_to_;
    std::vector<std::string>* made_groups_;
};

// ---- What a frozen canvas is seen as from outside

/// The slot for the parent in a tuple.
Json& parent_in(Json& tuple) {
    return tuple.as_array()[0].as_array()[1];
}

/// Of the ancestors the nearest kResultAncestorsMax are kept.
Json tuple_of(std::string id, Json parent, Json members) {
    Json made = group_result_tuple(std::move(id), std::move(members), std::move(parent));
    Json* ancestor = &parent_in(made);
    for (std::size_t i = 0; i < kResultAncestorsMax && !ancestor->is_null(); ++i) {
        ancestor = &parent_in(*ancestor);
    }
    *ancestor = Json{};
    return made;
}

/// Celery's tuple form of the result of a frozen signature: `[[id, parent], null]`, a group's
/// `[[id, parent], [members]]`.
Result<Json> result_of(const Signature& signature, Json parent, std::size_t depth) {
    if (depth > kCanvasDepthMax) return canvas_too_deep();
    switch (signature.type) {
        case SignatureType::task:
            return tuple_of(signature.task_id(), std::move(parent), {});
        case SignatureType::chain:
        case SignatureType::group: {
            auto tasks = tasks_of(signature);
            if (!tasks) return std::unexpected{std::move(tasks.error())};
            const bool chain = signature.type == SignatureType::chain;
            Json members = Json::array();
            for (const Signature& task : *tasks) {
                auto one = result_of(task, chain ? std::move(parent) : Json{}, depth + 1);
                if (!one) return one;
                if (chain) {
                    parent = std::move(*one);
                } else {
                    members.push_back(std::move(*one));
                }
            }
            if (chain) return parent;
            return tuple_of(signature.task_id(), std::move(parent), std::move(members));
        }
        case SignatureType::chord: {
            auto parts = parts_of(signature);
            if (!parts) return std::unexpected{std::move(parts.error())};
            auto header = result_of(parts->header, std::move(parent), depth + 1);
            if (!header) return header;
            return result_of(parts->body, std::move(*header), depth + 1);
        }
    }
    return Json{};
}

Result<std::int64_t> size_of(const Signature& member, std::size_t depth) {
    if (depth > kCanvasDepthMax) return canvas_too_deep();
    switch (member.type) {
        case SignatureType::task:
            return 1;
        case SignatureType::chain:
        case SignatureType::group: {
            auto tasks = tasks_of(member);
            if (!tasks) return std::unexpected{std::move(tasks.error())};
            std::int64_t sum = 0;
            for (auto task = tasks->rbegin(); task != tasks->rend(); ++task) {
                const auto size = size_of(*task, depth + 1);
                if (!size) return size;
                sum += *size;
                // What a chain ends with is what returns.
                if (member.type == SignatureType::chain && sum > 0) break;
            }
            return sum;
        }
        case SignatureType::chord: {
            auto parts = parts_of(member);
            if (!parts) return std::unexpected{std::move(parts.error())};
            return size_of(parts->body, depth + 1);
        }
    }
    return 1;
}

// ---- What is never reached

Result<void> add_unreached(const Signature& signature, std::vector<UnreachedCall>& calls,
                           std::size_t depth);

Result<void> add_unreached(const std::vector<Signature>& signatures,
                           std::vector<UnreachedCall>& calls, std::size_t depth) {
    for (const Signature& signature : signatures) {
        if (auto added = add_unreached(signature, calls, depth); !added) return added;
    }
    return {};
}

/// The signature itself, as far as its options tell.
Result<void> add_self(const Signature& signature, std::vector<UnreachedCall>& calls) {
    UnreachedCall call;
    call.task = signature.task;
    OptionReader reader{signature, signature.options};
    reader.read("task_id", call.task_id);
    reader.read("group_id", call.group_id);
    reader.read("group_index", call.group_index);
    if (reader.problem()) return std::unexpected{*reader.problem()};
    if (call.task_id.empty()) return {};
    call.chord = reader.get("chord");
    call.errbacks = reader.get("link_error");
    calls.push_back(std::move(call));
    return {};
}

Result<void> add_unreached(const Signature& signature, std::vector<UnreachedCall>& calls,
                           std::size_t depth) {
    if (depth > kCanvasDepthMax) return canvas_too_deep();
    Result<void> added;
    switch (signature.type) {
        case SignatureType::task:
            added = add_self(signature, calls);
            break;
        case SignatureType::chain:
        case SignatureType::group: {
            auto tasks = tasks_of(signature);
            if (!tasks) return std::unexpected{std::move(tasks.error())};
            // Parts of a chord are counted one by one, not once more as a group.
            added = add_unreached(*tasks, calls, depth + 1);
            break;
        }
        case SignatureType::chord: {
            auto parts = parts_of(signature);
            if (!parts) return std::unexpected{std::move(parts.error())};
            // Until it is started, what makes it a part of another chord stands in its own options.
            for (const char* name : {"chord", "group_id", "group_index", "chain"}) {
                const Json* const value = signature.option(name);
                if (value != nullptr) parts->body.options.set(name, *value);
            }
            added = add_unreached(parts->body, calls, depth + 1);
            break;
        }
    }
    const Json* const chain = signature.option("chain");
    if (!added || chain == nullptr || signature.type == SignatureType::chord) return added;
    auto rest = decode_signatures(*chain, "chain step");
    if (!rest) return std::unexpected{std::move(rest.error())};
    return add_unreached(*rest, calls, depth + 1);
}

}  // namespace

std::string follow_up_id(std::string_view parent_id, std::string_view position) {
    // Task ids are any text; those that are no UUID get one.
    constexpr std::string_view kTaskIds = "7b0a1e0c-3b52-4a3e-9f0e-6d1d5b7c2f11";
    const std::string name_space =
        is_uuid(parent_id) ? std::string{parent_id} : uuid5(kTaskIds, parent_id);
    return uuid5(name_space, position);
}

Result<void> freeze(Signature& signature, std::string_view parent_id, const std::string& position,
                    const std::string& task_id, std::string_view reply_to,
                    std::vector<std::string>* made_groups) {
    return Freezer{parent_id, reply_to, made_groups}.freeze(signature, position, task_id, 0);
}

Result<std::int64_t> chord_size_of(const Signature& member) {
    return size_of(member, 0);
}

Result<Json> result_tuple_of(const Signature& frozen) {
    return result_of(frozen, {}, 0);
}

Result<std::vector<UnreachedCall>> unreached_calls(const Signature& signature) {
    std::vector<UnreachedCall> calls;
    if (auto added = add_unreached(signature, calls, 0); !added) {
        return std::unexpected{std::move(added.error())};
    }
    return calls;
}

}  // namespace lovage
