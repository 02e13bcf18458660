#include <lovage/core/canvas.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include <lovage/core/chord_watch.hpp>
#include <lovage/core/detail/signature_options.hpp>
#include <lovage/core/python_repr.hpp>

namespace lovage {
namespace {

using detail::bad_option;
using detail::canvas_too_deep;
using detail::extend;
using detail::given;
using detail::list_of;
using detail::merged;
using detail::OptionReader;
using detail::stamp_names;
using detail::taken;

/// A result that is a group of results.
bool is_group_result(const Json& result) {
    return result.is_array() && result.as_array().size() == 2 && !result.as_array()[1].is_null();
}

/// About as many bytes as a value takes when it is written.
std::size_t bytes_of(const Json& value) {
    constexpr std::size_t kEach = 8;
    switch (value.kind()) {
        case Json::Kind::raw:
            return value.raw_text().size();
        case Json::Kind::string:
            return kEach + value.as_string().size();
        case Json::Kind::array: {
            std::size_t bytes = kEach;
            for (const Json& item : value.as_array()) bytes += bytes_of(item);
            return bytes;
        }
        case Json::Kind::object: {
            std::size_t bytes = kEach;
            for (const auto& [name, member] : value.as_object()) {
                bytes += kEach + name.size() + bytes_of(member);
            }
            return bytes;
        }
        default:
            return kEach;
    }
}

/// `args` in front of the signature's own, unless it takes none.
Result<Json> with_partial(const Signature& signature, const Json::Array& args) {
    if (signature.immutable || args.empty()) return signature.args;
    auto own = list_of(signature.args, "args");
    if (!own) return std::unexpected{std::move(own.error())};
    Json::Array all = args;
    all.insert(all.end(), std::make_move_iterator(own->begin()),
               std::make_move_iterator(own->end()));
    return Json{std::move(all)};
}

void read_stamps(OptionReader& options, TaskMessage& message) {
    message.stamped_headers = options.get("stamped_headers");
    if (message.stamped_headers.is_null()) return;
    for (const std::string& name :
         stamp_names(Json::object({{"stamped_headers", message.stamped_headers}}))) {
        message.stamps.set(name, options.get(name));
    }
}

/// Null or a list.
Result<Json> list_option(const OptionReader& options, std::string_view name) {
    const Json value = options.get(name);
    if (value.is_null()) return Json{};
    auto list = list_of(value, name);
    if (!list) return std::unexpected{std::move(list.error())};
    return Json{std::move(*list)};
}

/// The embed part of a call with these options.
Result<Json> embed_of(const OptionReader& options) {
    Json embed = TaskMessage::default_embed();
    constexpr std::array kLists{std::pair{"callbacks", "link"}, std::pair{"errbacks", "link_error"},
                                std::pair{"chain", "chain"}};
    for (const auto& [field, option] : kLists) {
        auto list = list_option(options, option);
        if (!list) return list;
        embed.set(field, std::move(*list));
    }
    embed.set("chord", options.get("chord"));
    return embed;
}

// ---- Shapes

/// Steps with chains in chains opened, a group of one replaced by its member, and a group that
/// something follows turned into a chord (celery-wire reference, sections 14.3 and 14.5).
Result<void> add_steps(const Signature& chain, std::vector<Signature>& steps, std::size_t depth) {
    if (depth > kCanvasDepthMax) return canvas_too_deep();
    auto tasks = tasks_of(chain);
    if (!tasks) return std::unexpected{std::move(tasks.error())};
    for (Signature& task : *tasks) {
        if (task.type == SignatureType::chain) {
            if (auto added = add_steps(task, steps, depth + 1); !added) return added;
            continue;
        }
        if (task.type == SignatureType::group) {
            auto members = tasks_of(task);
            if (!members) return std::unexpected{std::move(members.error())};
            if (members->size() == 1) task = std::move(members->front());
        }
        if (!steps.empty() && steps.back().type == SignatureType::group) {
            steps.back() = make_chord(steps.back(), task);
        } else {
            steps.push_back(std::move(task));
        }
    }
    return {};
}

/// Members with groups in groups opened. Celery opens those of a chord's header from a stack, which
/// turns their order round.
Result<void> add_members(const Signature& group, bool of_chord, std::vector<Signature>& members,
                         std::size_t depth) {
    if (depth > kCanvasDepthMax) return canvas_too_deep();
    auto tasks = tasks_of(group);
    if (!tasks) return std::unexpected{std::move(tasks.error())};
    if (of_chord && depth > 0) std::ranges::reverse(*tasks);
    for (Signature& task : *tasks) {
        if (task.type != SignatureType::group) {
            members.push_back(std::move(task));
        } else if (auto added = add_members(task, of_chord, members, depth + 1); !added) {
            return added;
        }
    }
    return {};
}

}  // namespace

Result<void> CanvasPlanner::call(Signature signature, const Json::Array& args, const Json& options,
                                 const std::string& position) {
    auto frozen = freeze(signature, caller_.id, position);
    if (!frozen) return frozen;
    auto child = apply(signature, args, options, 0);
    if (!child) return std::unexpected{std::move(child.error())};
    plan_.children.push_back(std::move(*child));
    return {};
}

CanvasPlanner::Child CanvasPlanner::apply(const Signature& signature, const Json::Array& args,
                                          const Json& options, std::size_t depth) {
    if (depth > kCanvasDepthMax) return canvas_too_deep();
    Json all = merged(signature.options, options);
    switch (signature.type) {
        case SignatureType::task:
            return apply_task(signature, args, all);
        case SignatureType::chain:
            return apply_chain(signature, args, std::move(all), depth);
        case SignatureType::group:
            return apply_group(signature, args, std::move(all), depth);
        case SignatureType::chord:
            return apply_chord(signature, args, std::move(all), depth);
    }
    return Json{};
}

CanvasPlanner::Child CanvasPlanner::apply_task(const Signature& signature, const Json::Array& args,
                                               const Json& options) {
    if (plan_.calls.size() >= kCanvasMembersMax) {
        return fail(Errc::too_large,
                    fmt::format("a canvas starts more than {} tasks", kCanvasMembersMax));
    }
    auto all_args = with_partial(signature, args);
    if (!all_args) return all_args;
    PlannedCall planned;
    TaskMessage& message = planned.message;
    message.task = signature.task;
    message.args = std::move(*all_args);
    message.kwargs = signature.kwargs;
    if (!caller_.id.empty()) message.parent_id = caller_.id;
    message.root_id = caller_.root_id;
    // Celery shows arguments as a list where it sends them just as they came out of JSON.
    const bool as_came = !caller_.first_hand && (signature.immutable || args.empty());
    if (as_came) message.argsrepr = celery_repr(message.args, false);

    OptionReader reader{signature, options};
    reader.read("task_id", message.id);
    reader.read("parent_id", message.parent_id);
    reader.read("root_id", message.root_id);
    reader.read("group_id", message.group);
    reader.read("group_index", message.group_index);
    reader.read_time("countdown", caller_.now, message.eta);
    // A countdown of zero is none.
    if (message.eta && *message.eta <= caller_.now) message.eta.reset();
    reader.read_time("eta", caller_.now, message.eta);
    reader.read_time("expires", caller_.now, message.expires);
    reader.read("retries", message.retries);
    reader.read("shadow", message.shadow);
    reader.read("time_limit", message.time_limit);
    reader.read("soft_time_limit", message.soft_time_limit);
    reader.read("replaced_task_nesting", message.replaced_task_nesting);
    reader.read("priority", message.priority);
    reader.read("reply_to", message.reply_to);
    reader.read("ignore_result", planned.ignore_result);
    reader.read("queue", planned.queue);
    reader.read("exchange", planned.exchange);
    reader.read("routing_key", planned.routing_key);
    read_stamps(reader, message);
    if (Json headers = reader.get("headers"); !headers.is_null()) {
        auto opened = headers.expanded();
        if (!opened || !opened->is_object()) return bad_option(signature, "headers", headers);
        message.user_headers = std::move(*opened);
    }
    add_trace_context(message.user_headers, caller_.trace);
    if (reader.problem()) return std::unexpected{*reader.problem()};
    auto embed = embed_of(reader);
    if (!embed) return embed;
    message.embed = std::move(*embed);
    planned.bytes = bytes_of(message.args) + bytes_of(message.kwargs) + bytes_of(message.embed);
    bytes_ += planned.bytes;
    if (bytes_ > bytes_max_) {
        return fail(
            Errc::too_large,
            fmt::format("the messages of a canvas take more than {} bytes together", bytes_max_));
    }
    if (auto encodable = check_encodable(message); !encodable) {
        return std::unexpected{std::move(encodable.error())};
    }
    plan_.calls.push_back(std::move(planned));
    return result_tuple_of(signature);
}

namespace {
/// Lays an option of a canvas as a whole over its end. Wire: a chord's index belongs to the end of
/// its body; on the chord itself, Celery's workers give it to every part of the header, whose
/// results then come in any order.
Result<void> set_at_end(Signature& end, std::string_view name, const Json& value,
                        std::size_t depth) {
    if (depth > kCanvasDepthMax) return canvas_too_deep();
    if (end.type != SignatureType::chord || name != "group_index") {
        end.options.set(name, value);
        return {};
    }
    auto parts = parts_of(end);
    if (!parts) return std::unexpected{std::move(parts.error())};
    if (auto set = set_at_end(parts->body, name, value, depth + 1); !set) return set;
    set_parts(end, *parts);
    return {};
}
}  // namespace

CanvasPlanner::Child CanvasPlanner::apply_chain(const Signature& chain, const Json::Array& args,
                                                Json options, std::size_t depth) {
    std::vector<Signature> steps;
    if (auto added = add_steps(chain, steps, depth); !added) {
        return std::unexpected{std::move(added.error())};
    }
    if (steps.empty()) return fail(Errc::malformed, "a chain has no steps");
    auto first_args = with_partial(chain, args);
    if (!first_args) return first_args;
    auto given_args = list_of(*first_args, "args");
    if (!given_args) return std::unexpected{std::move(given_args.error())};

    // Whoever waits for the chain waits for its last step.
    Signature& last = steps.back();
    (void)taken(options, "task_id");
    // Wire: Celery, too, forgets here whose child a chain was to be; its first step is the
    // caller's.
    (void)taken(options, "parent_id");
    for (const char* name : {"group_id", "chord", "group_index"}) {
        Json value = taken(options, name);
        const bool keeps_own = name != std::string_view{"chord"} && last.option(name) != nullptr;
        if (value.is_null() || keeps_own) continue;
        if (auto set = set_at_end(last, name, value, 0); !set) {
            return std::unexpected{std::move(set.error())};
        }
    }
    if (auto linked = extend(last.options, "link", taken(options, "link")); !linked) {
        return std::unexpected{std::move(linked.error())};
    }
    const Json errbacks = taken(options, "link_error");
    for (Signature& step : steps) {
        if (errbacks.is_null()) break;
        if (auto linked = extend(step.options, "link_error", errbacks); !linked) {
            return std::unexpected{std::move(linked.error())};
        }
    }

    // Wire: reversed, and after it whatever follows the chain itself; the last step's is empty.
    auto rest = list_of(taken(options, "chain"), "chain");
    if (!rest) return std::unexpected{std::move(rest.error())};
    for (std::size_t i = steps.size() - 1; i > 0; --i) {
        rest->push_back(encode_signature(steps[i]));
    }
    options.set("chain", Json{std::move(*rest)});
    return apply(steps.front(), *given_args, options, depth + 1);
}

CanvasPlanner::Child CanvasPlanner::apply_group(const Signature& group, const Json::Array& args,
                                                Json options, std::size_t depth) {
    const Json own_id = taken(options, "task_id");
    const Json outer_id = taken(options, "group_id");
    (void)taken(options, "group_index");
    const bool of_chord = given(options, "chord") != nullptr;
    // The last step of a chain in a chord's header: its members are parts of that chord.
    const bool parts_of_outer = of_chord && !outer_id.is_null();
    options.set("group_id", parts_of_outer ? outer_id : own_id);

    std::vector<Signature> members;
    if (auto added = add_members(group, of_chord, members, 0); !added) {
        return std::unexpected{std::move(added.error())};
    }
    Json results = Json::array();
    std::int64_t index = 0;
    for (const Signature& member : members) {
        Json call = options;
        if (member.option("group_index") == nullptr) call.set("group_index", index);
        ++index;
        auto applied = apply(member, args, call, depth + 1);
        if (!applied) return applied;
        auto result = result_tuple_of(member);
        if (!result) return result;
        results.push_back(std::move(*result));
    }
    return Json{Json::Array{Json{Json::Array{own_id, Json{}}}, std::move(results)}};
}

CanvasPlanner::Child CanvasPlanner::apply_chord(const Signature& chord, const Json::Array& args,
                                                Json options, std::size_t depth) {
    auto parts = parts_of(chord);
    if (!parts) return std::unexpected{std::move(parts.error())};
    (void)taken(options, "task_id");  // the body has its own
    auto all_args = with_partial(chord, args);
    if (!all_args) return all_args;
    auto header_args = list_of(*all_args, "args");
    if (!header_args) return std::unexpected{std::move(header_args.error())};
    Signature& body = parts->body;
    for (const char* name : {"link", "link_error"}) {
        if (auto linked = extend(body.options, name, taken(options, name)); !linked) {
            return std::unexpected{std::move(linked.error())};
        }
    }
    // What belongs to the chord as a whole goes to its end: what follows it, which group it is in.
    for (const auto& [name, value] : options.as_object()) {
        if (value.is_null()) continue;
        if (auto set = set_at_end(body, name, value, 0); !set) {
            return std::unexpected{std::move(set.error())};
        }
    }
    for (const char* name : {"chain", "chord", "group_id", "group_index", "countdown"}) {
        (void)taken(options, name);
    }

    std::vector<Signature> members;
    if (auto added = add_members(parts->header, true, members, 0); !added) {
        return std::unexpected{std::move(added.error())};
    }
    if (members.empty()) return apply(body, {Json::array()}, Json::object(), depth + 1);
    const std::string group_id = parts->header.task_id();
    PlannedChord planned{group_id, 0, {}, {}};
    bool nested = false;
    Json results = Json::array();
    for (const Signature& member : members) {
        const auto size = chord_size_of(member);
        if (!size) return std::unexpected{size.error()};
        planned.size += *size;
        auto result = result_tuple_of(member);
        if (!result) return result;
        nested = nested || is_group_result(*result);
        results.push_back(std::move(*result));
    }
    const Json body_text = Json::raw(to_json_text(encode_signature(body)));
    planned.watch = encode_chord_watch(body_text, caller_.root_id, results);
    if (nested) {
        planned.structure =
            Json{Json::Array{Json{Json::Array{group_id, Json{}}}, std::move(results)}};
    }
    plan_.chords.push_back(std::move(planned));
    options.set("task_id", group_id);
    options.set("chord", body_text);
    (void)taken(parts->header.options, "group_id");
    return apply(parts->header, *header_args, options, depth + 1);
}

}  // namespace lovage
