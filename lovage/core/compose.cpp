#include <lovage/core/compose.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include <lovage/core/detail/signature_options.hpp>

namespace lovage {
namespace {

using detail::canvas_too_deep;
using detail::list_of;
using detail::stamp_names;

// Wire: tasks that every worker has.
constexpr std::string_view kMap = "celery.map";
constexpr std::string_view kStarmap = "celery.starmap";
constexpr std::string_view kChunks = "celery.chunks";

/// Adds to a list option what is not in it.
Result<void> add_once(Json& options, std::string_view name, const Signature& signature) {
    const Json* const stored = options.find(name);
    auto list = list_of(stored != nullptr ? *stored : Json{}, name);
    if (!list) return std::unexpected{std::move(list.error())};
    Json item = encode_signature(signature);
    const std::string text = to_json_text(item);
    const auto same = [&](const Json& other) { return to_json_text(other) == text; };
    if (std::ranges::any_of(*list, same)) return {};
    list->push_back(std::move(item));
    options.set(name, Json{std::move(*list)});
    return {};
}

/// Applies `change` to parts of a canvas and keeps what comes of it.
template <class Change>
Result<void> change_tasks(Signature& canvas, bool first_only, Change change) {
    auto tasks = tasks_of(canvas);
    if (!tasks) return std::unexpected{std::move(tasks.error())};
    for (Signature& task : *tasks) {
        if (auto changed = change(task); !changed) return changed;
        if (first_only) break;
    }
    set_tasks(canvas, *tasks);
    return {};
}

Result<void> prepend(Signature& signature, const Json::Array& args, std::size_t depth) {
    if (depth > kCanvasDepthMax) return canvas_too_deep();
    if (signature.immutable || args.empty()) return {};
    const auto deeper = [&](Signature& part) { return prepend(part, args, depth + 1); };
    switch (signature.type) {
        case SignatureType::task: {
            auto own = list_of(signature.args, "args");
            if (!own) return std::unexpected{std::move(own.error())};
            own->insert(own->begin(), args.begin(), args.end());
            signature.args = Json{std::move(*own)};
            return {};
        }
        case SignatureType::chain:
            return change_tasks(signature, true, deeper);
        case SignatureType::group:
            return change_tasks(signature, false, deeper);
        case SignatureType::chord: {
            auto parts = parts_of(signature);
            if (!parts) return std::unexpected{std::move(parts.error())};
            if (auto done = deeper(parts->header); !done) return done;
            set_parts(signature, *parts);
            return {};
        }
    }
    return {};
}

/// Nothing of what comes before it goes into `signature`. A chain keeps that until it is opened.
Result<void> close_to_results(Signature& signature, std::size_t depth) {
    if (depth > kCanvasDepthMax) return canvas_too_deep();
    if (signature.type != SignatureType::group) {
        signature.immutable = true;
        return {};
    }
    return change_tasks(signature, false,
                        [depth](Signature& member) { return close_to_results(member, depth + 1); });
}

Signature make_chain(const std::vector<Signature>& steps) {
    Signature chain;
    chain.task = "celery.chain";  // Wire.
    chain.type = SignatureType::chain;
    set_tasks(chain, steps);
    return chain;
}

/// Steps as they come, upgraded.
class Steps {
public:
    Result<void> add(Signature next, std::size_t depth) {
        if (depth > kCanvasDepthMax) return canvas_too_deep();
        if (next.type == SignatureType::chain) return add_chain(next, depth);
        if (next.type == SignatureType::group && !steps_.empty()) {
            auto members = tasks_of(next);
            if (!members) return std::unexpected{std::move(members.error())};
            if (members->size() == 1) return add(std::move(members->front()), depth + 1);
        }
        if (steps_.empty()) {
            steps_.push_back(std::move(next));
            return {};
        }
        Signature& last = steps_.back();
        if (last.type == SignatureType::chord) return add_to_body(last, std::move(next), depth);
        if (last.type != SignatureType::group) {
            steps_.push_back(std::move(next));
            return {};
        }
        last = make_chord(last, next);
        return {};
    }

    Signature take() && {
        if (steps_.size() == 1 && steps_.front().type != SignatureType::task) {
            return std::move(steps_.front());
        }
        return make_chain(steps_);
    }

private:
    Result<void> add_chain(const Signature& chain, std::size_t depth) {
        auto tasks = tasks_of(chain);
        if (!tasks) return std::unexpected{std::move(tasks.error())};
        if (tasks->empty()) return {};
        auto args = list_of(chain.args, "args");
        if (!args) return std::unexpected{std::move(args.error())};
        if (auto done = prepend(tasks->front(), *args, depth + 1); !done) return done;
        if (chain.immutable) {
            if (auto done = close_to_results(tasks->front(), depth + 1); !done) return done;
        }
        if (auto done = hand_down(chain, "link", tasks->back()); !done) return done;
        for (Signature& task : *tasks) {
            if (auto done = hand_down(chain, "link_error", task); !done) return done;
            if (auto added = add(std::move(task), depth + 1); !added) return added;
        }
        return {};
    }

    /// What was linked to a chain that is opened.
    static Result<void> hand_down(const Signature& chain, std::string_view name, Signature& step) {
        const Json* const linked = chain.option(name);
        if (linked == nullptr) return {};
        auto signatures = decode_signatures(*linked, name);
        if (!signatures) return std::unexpected{std::move(signatures.error())};
        for (const Signature& one : *signatures) {
            auto added = name == "link" ? add_link(step, one) : add_errback(step, one);
            if (!added) return added;
        }
        return {};
    }

    static Result<void> add_to_body(Signature& chord, Signature next, std::size_t depth) {
        auto parts = parts_of(chord);
        if (!parts) return std::unexpected{std::move(parts.error())};
        Steps body;
        if (auto added = body.add(std::move(parts->body), depth + 1); !added) return added;
        if (auto added = body.add(std::move(next), depth + 1); !added) return added;
        parts->body = std::move(body).take();
        set_parts(chord, *parts);
        return {};
    }

    std::vector<Signature> steps_;
};

/// Wire: options of signatures (celery-wire reference, section 14.1); a stamp is one, too.
constexpr std::array<std::string_view, 27> kOptions{"task_id",        "group_id",
                                                    "group_index",    "chord",
                                                    "chain",          "link",
                                                    "link_error",     "root_id",
                                                    "parent_id",      "reply_to",
                                                    "countdown",      "eta",
                                                    "expires",        "queue",
                                                    "exchange",       "priority",
                                                    "routing_key",    "serializer",
                                                    "compression",    "time_limit",
                                                    "retries",        "shadow",
                                                    "headers",        "soft_time_limit",
                                                    "ignore_result",  "replaced_task_nesting",
                                                    "stamped_headers"};

Result<void> stamp(Signature& signature, const Json& stamps, std::size_t depth);

Result<void> stamp_links(Signature& signature, const Json& stamps, std::size_t depth) {
    for (const char* name : {"link", "link_error"}) {
        const Json* const linked = signature.option(name);
        if (linked == nullptr) continue;
        auto links = decode_signatures(*linked, name);
        if (!links) return std::unexpected{std::move(links.error())};
        for (Signature& link : *links) {
            if (auto done = stamp(link, stamps, depth + 1); !done) return done;
        }
        signature.options.set(name, encode_signatures(*links));
    }
    return {};
}

void stamp_itself(Signature& signature, const Json& stamps) {
    std::vector<std::string> names = stamp_names(signature.options);
    for (const auto& [name, value] : stamps.as_object()) {
        if (std::ranges::find(names, name) == names.end()) names.push_back(name);
        signature.options.set(name, value);
    }
    Json::Array all;
    for (std::string& name : names) all.emplace_back(std::move(name));
    signature.options.set("stamped_headers", Json{std::move(all)});
}

Result<void> stamp(Signature& signature, const Json& stamps, std::size_t depth) {
    if (depth > kCanvasDepthMax) return canvas_too_deep();
    if (auto done = stamp_links(signature, stamps, depth); !done) return done;
    const auto deeper = [&](Signature& part) { return stamp(part, stamps, depth + 1); };
    switch (signature.type) {
        case SignatureType::task:
            stamp_itself(signature, stamps);
            return {};
        case SignatureType::chain:
        case SignatureType::group:
            return change_tasks(signature, false, deeper);
        case SignatureType::chord: {
            auto parts = parts_of(signature);
            if (!parts) return std::unexpected{std::move(parts.error())};
            if (auto done = deeper(parts->header); !done) return done;
            if (auto done = deeper(parts->body); !done) return done;
            set_parts(signature, *parts);
            return {};
        }
    }
    return {};
}

/// Each chunk carries the task, so a long task over many items multiplies: told before any is made.
Result<void> check_chunks(const Signature& task, std::size_t count) {
    if (count > kCanvasMembersMax) {
        return fail(Errc::too_large, fmt::format("celery.chunks comes to {} tasks; at most {} can "
                                                 "be",
                                                 count, kCanvasMembersMax));
    }
    const std::size_t each = to_json_text(encode_signature(task)).size();
    if (count > kCanvasBytesMax / each) {
        return fail(Errc::too_large,
                    fmt::format("celery.chunks comes to {} tasks of {} bytes each; together at "
                                "most {} can be",
                                count, each, kCanvasBytesMax));
    }
    return {};
}

}  // namespace

Result<Signature> chain_of(std::vector<Signature> parts) {
    Steps steps;
    if (parts.empty()) return fail(Errc::invalid_argument, "a chain of nothing");
    for (Signature& part : parts) {
        if (auto added = steps.add(std::move(part), 0); !added) {
            return std::unexpected{std::move(added.error())};
        }
    }
    return std::move(steps).take();
}

Result<void> prepend_args(Signature& signature, const Json::Array& args) {
    return prepend(signature, args, 0);
}

Result<void> add_link(Signature& signature, const Signature& callback) {
    if (signature.type == SignatureType::group) {
        Signature alone = callback;
        alone.immutable = true;
        return change_tasks(signature, true,
                            [&](Signature& member) { return add_link(member, alone); });
    }
    if (signature.type != SignatureType::chord) {
        return add_once(signature.options, "link", callback);
    }
    auto parts = parts_of(signature);
    if (!parts) return std::unexpected{std::move(parts.error())};
    if (auto added = add_link(parts->body, callback); !added) return added;
    set_parts(signature, *parts);
    return {};
}

Result<void> add_errback(Signature& signature, const Signature& errback) {
    if (signature.type == SignatureType::group) {
        return change_tasks(signature, false,
                            [&](Signature& member) { return add_errback(member, errback); });
    }
    if (signature.type != SignatureType::chord) {
        return add_once(signature.options, "link_error", errback);
    }
    auto parts = parts_of(signature);
    if (!parts) return std::unexpected{std::move(parts.error())};
    if (auto added = add_errback(parts->body, errback); !added) return added;
    set_parts(signature, *parts);
    return {};
}

Result<void> check_stamps(const Json& stamps) {
    if (!stamps.is_object()) return fail(Errc::invalid_argument, "stamps must be a map");
    for (const auto& [name, value] : stamps.as_object()) {
        if (!name.empty() && std::ranges::find(kOptions, name) == kOptions.end()) continue;
        return fail(Errc::invalid_argument,
                    fmt::format("'{}' cannot be the name of a stamp: it is {}", name,
                                name.empty() ? "empty" : "an option of every call"));
    }
    return {};
}

Result<void> add_stamps(Signature& signature, const Json& stamps) {
    if (auto fine = check_stamps(stamps); !fine) return fine;
    if (stamps.as_object().empty()) return {};
    return stamp(signature, stamps, 0);
}

Signature make_map(const Signature& task, Json items, bool spread) {
    Signature map;
    map.task = spread ? kStarmap : kMap;
    map.immutable = true;
    map.kwargs = Json::object({{"task", encode_signature(task)}, {"it", std::move(items)}});
    return map;
}

Signature make_chunks(const Signature& task, Json items, std::int64_t size) {
    LOVAGE_ASSERT(size >= 1);
    Signature chunks = make_map(task, std::move(items), true);
    chunks.task = kChunks;
    chunks.kwargs.set("n", size);
    return chunks;
}

bool is_chunks(const Signature& signature) noexcept {
    return signature.type == SignatureType::task && signature.task == kChunks;
}

Result<Signature> group_of_chunks(const Signature& chunks) {
    auto kwargs = chunks.kwargs.expanded();
    if (!kwargs) return std::unexpected{std::move(kwargs.error())};
    const auto part = [&](std::string_view name) {
        const Json* const found = kwargs->is_object() ? kwargs->find(name) : nullptr;
        return found != nullptr ? *found : Json{};
    };
    auto task = decode_signature(part("task"), "the task of celery.chunks");
    if (!task) return std::unexpected{std::move(task.error())};
    auto items = list_of(part("it"), "it");
    if (!items) return std::unexpected{std::move(items.error())};
    const Json size = part("n");
    if (!size.is_integer() || size.as_int64().value_or(0) < 1) {
        return fail(Errc::malformed, "'n' of celery.chunks is no number of items");
    }
    const auto most = static_cast<std::size_t>(*size.as_int64());
    const std::size_t count = items->size() / most + (items->size() % most != 0 ? 1 : 0);
    if (auto fits = check_chunks(*task, count); !fits) return std::unexpected{fits.error()};
    std::vector<Signature> members;
    members.reserve(count);
    for (std::size_t first = 0; members.size() < count; first += most) {
        const auto begin = items->begin() + static_cast<std::ptrdiff_t>(first);
        const auto some = static_cast<std::ptrdiff_t>(std::min(most, items->size() - first));
        members.push_back(make_map(*task,
                                   Json{Json::Array(std::make_move_iterator(begin),
                                                    std::make_move_iterator(begin + some))},
                                   true));
    }
    Signature group = make_group(members);
    group.options = chunks.options;
    return group;
}

std::string mapped_task(std::string_view task, const Json& kwargs) {
    if (task != kMap && task != kStarmap && task != kChunks) return {};
    const auto opened = kwargs.expanded();
    if (!opened || !opened->is_object()) return {};
    const Json* const mapped = opened->find("task");
    if (mapped == nullptr) return {};
    auto signature = decode_signature(*mapped, "the mapped task");
    return signature ? std::move(signature->task) : std::string{};
}

}  // namespace lovage
