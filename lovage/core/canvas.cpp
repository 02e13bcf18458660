#include <lovage/core/canvas.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include <lovage/core/convert.hpp>
#include <lovage/core/python_repr.hpp>
#include <lovage/core/uuid.hpp>

namespace lovage {
namespace {

std::unexpected<Error> too_deep() {
    return fail(Errc::too_large,
                fmt::format("a canvas is nested deeper than {} levels", kCanvasDepthMax));
}

/// A list of the options, opened; a single value is a list of one, as Celery takes it.
Result<Json::Array> list_of(const Json& value, std::string_view name) {
    auto opened = value.expanded();
    if (!opened) return std::unexpected{std::move(opened.error())};
    if (opened->is_null()) return Json::Array{};
    if (opened->is_object()) return Json::Array{std::move(*opened)};
    if (!opened->is_array()) {
        return fail(Errc::malformed,
                    fmt::format("'{}' is no list but {}", name, python_repr(value, 60)));
    }
    return std::move(opened->as_array());
}

/// Adds `items` behind those of the list option `name`.
Result<void> extend(Json& options, std::string_view name, const Json& items) {
    const Json* const stored = options.find(name);
    auto list = list_of(stored != nullptr ? *stored : Json{}, name);
    if (!list) return std::unexpected{std::move(list.error())};
    auto more = list_of(items, name);
    if (!more) return std::unexpected{std::move(more.error())};
    list->insert(list->end(), std::make_move_iterator(more->begin()),
                 std::make_move_iterator(more->end()));
    options.set(name, Json{std::move(*list)});
    return {};
}

/// Names of stamps, which stay as they are stored.
std::vector<std::string> stamp_names(const Json& options) {
    std::vector<std::string> names;
    const Json* const stamped = options.find("stamped_headers");
    if (stamped == nullptr) return names;
    const auto opened = stamped->expanded();
    if (!opened || !opened->is_array()) return names;
    for (const Json& name : opened->as_array()) {
        if (name.is_string()) names.push_back(name.as_string());
    }
    return names;
}

/// Options of a call laid over a signature's own (celery-wire reference, section 14.2).
Json merged(const Json& stored, const Json& over) {
    Json options = stored;
    const std::vector<std::string> stamps = stamp_names(stored);
    for (const auto& [name, value] : over.as_object()) {
        if (value.is_null()) continue;
        const bool stays = name == "group_id" || name == "stamped_headers" ||
                           std::ranges::find(stamps, name) != stamps.end();
        const Json* const own = options.find(name);
        if (stays && own != nullptr && !own->is_null()) continue;
        options.set(name, value);
    }
    return options;
}

const Json* given(const Json& options, std::string_view name) {
    const Json* value = options.find(name);
    return value != nullptr && !value->is_null() ? value : nullptr;
}

/// The option, taken out; null when it is not there.
Json taken(Json& options, std::string_view name) {
    Json* const value = options.find(name);
    if (value == nullptr) return {};
    Json what = std::move(*value);
    options.erase(name);
    return what;
}

// ---- Ids

class Freezer {
public:
    explicit Freezer(std::string_view parent_id) : parent_id_{parent_id} {}

    Result<void> freeze(Signature& signature, const std::string& position,
                        const std::string& task_id, std::size_t depth) {
        if (depth > kCanvasDepthMax) return too_deep();
        switch (signature.type) {
            case SignatureType::task:
                give_id(signature, position, task_id);
                return {};
            case SignatureType::chain:
                return freeze_chain(signature, position, task_id, depth);
            case SignatureType::group:
                give_id(signature, position, {});
                return freeze_members(signature, position, {}, depth);
            case SignatureType::chord:
                return freeze_chord(signature, position, task_id, depth);
        }
        return {};
    }

private:
    void give_id(Signature& signature, const std::string& position, const std::string& task_id) {
        if (signature.option("task_id") != nullptr) return;
        signature.options.set("task_id",
                              task_id.empty() ? follow_up_id(parent_id_, position) : task_id);
    }

    Result<void> freeze_chain(Signature& chain, const std::string& position,
                              const std::string& task_id, std::size_t depth) {
        return freeze_members(chain, position, task_id.empty() ? chain.task_id() : task_id, depth);
    }

    Result<void> freeze_members(Signature& canvas, const std::string& position,
                                const std::string& last_id, std::size_t depth) {
        auto tasks = tasks_of(canvas);
        if (!tasks) return std::unexpected{std::move(tasks.error())};
        for (std::size_t i = 0; i < tasks->size(); ++i) {
            const bool last = i + 1 == tasks->size();
            auto frozen = freeze((*tasks)[i], fmt::format("{}/{}", position, i),
                                 last ? last_id : std::string{}, depth + 1);
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
};

// ---- What a frozen canvas is seen from outside

/// Celery's tuple form of the result of a frozen signature: `[[id, parent], null]`, a group's
/// `[[id, parent], [members]]`.
Result<Json> result_of(const Signature& signature, Json parent, std::size_t depth) {
    if (depth > kCanvasDepthMax) return too_deep();
    const auto result = [](std::string id, Json before, Json members) {
        return Json{Json::Array{Json{Json::Array{Json{std::move(id)}, std::move(before)}},
                                std::move(members)}};
    };
    switch (signature.type) {
        case SignatureType::task:
            return result(signature.task_id(), std::move(parent), {});
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
            return result(signature.task_id(), std::move(parent), std::move(members));
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

/// A result that is a group of results.
bool is_group_result(const Json& result) {
    return result.is_array() && result.as_array().size() == 2 && !result.as_array()[1].is_null();
}

Result<std::int64_t> size_of(const Signature& member, std::size_t depth) {
    if (depth > kCanvasDepthMax) return too_deep();
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

// ---- Options as fields of a message

std::unexpected<Error> bad_option(const Signature& signature, std::string_view name,
                                  const Json& value) {
    return fail(Errc::malformed, fmt::format("signature '{}' has an option '{}' that cannot be: {}",
                                             signature.task, name, python_repr(value, 60)));
}

/// Reads options one after the other and keeps the first problem.
class OptionReader {
public:
    OptionReader(const Signature& signature, const Json& options)
        : signature_{signature}, options_{options} {}

    template <class T>
    void read(std::string_view name, std::optional<T>& into) {
        const Json* const value = given(options_, name);
        if (value == nullptr) return;
        auto converted = from_json<T>(*value);
        if (converted) {
            into = std::move(*converted);
        } else {
            refuse(name, *value);
        }
    }
    template <class T>
    void read(std::string_view name, T& into) {
        std::optional<T> value;
        read(name, value);
        if (value) into = std::move(*value);
    }
    /// A moment, or a number of seconds from `now`.
    void read_time(std::string_view name, TimePoint now, std::optional<TimePoint>& into) {
        const Json* const value = given(options_, name);
        if (value == nullptr) return;
        if (!value->is_integer() && !value->is_real()) return read(name, into);
        std::optional<double> seconds;
        read(name, seconds);
        constexpr double kLongest = 100.0 * 366 * 86400;
        if (seconds && std::isfinite(*seconds) && std::abs(*seconds) <= kLongest) {
            into = now + std::chrono::microseconds{std::llround(*seconds * 1e6)};
        } else {
            refuse(name, *value);
        }
    }
    Json get(std::string_view name) const {
        const Json* const value = given(options_, name);
        return value != nullptr ? *value : Json{};
    }
    void refuse(std::string_view name, const Json& value) {
        if (!problem_) problem_ = bad_option(signature_, name, value).error();
    }
    [[nodiscard]] const std::optional<Error>& problem() const { return problem_; }

private:
    const Signature& signature_;
    const Json& options_;
    std::optional<Error> problem_;
};

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
    if (depth > kCanvasDepthMax) return too_deep();
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
    if (depth > kCanvasDepthMax) return too_deep();
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

std::string follow_up_id(std::string_view parent_id, std::string_view position) {
    // Task ids are any text; those that are no UUID get one.
    constexpr std::string_view kTaskIds = "7b0a1e0c-3b52-4a3e-9f0e-6d1d5b7c2f11";
    const std::string name_space =
        is_uuid(parent_id) ? std::string{parent_id} : uuid5(kTaskIds, parent_id);
    return uuid5(name_space, position);
}

Result<void> freeze(Signature& signature, std::string_view parent_id, const std::string& position,
                    const std::string& task_id) {
    return Freezer{parent_id}.freeze(signature, position, task_id, 0);
}

Result<std::int64_t> chord_size_of(const Signature& member) {
    return size_of(member, 0);
}

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
    if (depth > kCanvasDepthMax) return too_deep();
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
    message.parent_id = caller_.id;
    message.root_id = caller_.root_id;
    // Celery shows arguments as a list where it sends them just as they came out of JSON.
    const bool as_came = signature.immutable || args.empty();
    if (as_came) message.argsrepr = celery_repr(message.args, false);

    OptionReader reader{signature, options};
    reader.read("task_id", message.id);
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
    if (reader.problem()) return std::unexpected{*reader.problem()};
    auto embed = embed_of(reader);
    if (!embed) return embed;
    message.embed = std::move(*embed);
    if (auto encodable = check_encodable(message); !encodable) {
        return std::unexpected{std::move(encodable.error())};
    }
    plan_.calls.push_back(std::move(planned));
    return result_of(signature, {}, 0);
}

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
    for (const char* name : {"group_id", "group_index"}) {
        Json value = taken(options, name);
        if (!value.is_null() && last.option(name) == nullptr) {
            last.options.set(name, std::move(value));
        }
    }
    if (Json chord = taken(options, "chord"); !chord.is_null()) {
        last.options.set("chord", std::move(chord));
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
    if (const Json* link = last.options.find("link");
        link != nullptr && link->is_array() && link->as_array().empty()) {
        last.options.erase("link");
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
        auto result = result_of(member, {}, depth + 1);
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
    Signature& body = parts->body;
    for (const char* name : {"link", "link_error"}) {
        if (auto linked = extend(body.options, name, taken(options, name)); !linked) {
            return std::unexpected{std::move(linked.error())};
        }
        const Json* const list = body.options.find(name);
        if (list->as_array().empty()) body.options.erase(name);
    }
    // What belongs to the chord as a whole goes to its end: what follows it, which group it is in.
    for (const auto& [name, value] : options.as_object()) {
        if (!value.is_null()) body.options.set(name, value);
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
    PlannedChord planned{group_id, 0, {}};
    bool nested = false;
    Json results = Json::array();
    for (const Signature& member : members) {
        const auto size = size_of(member, depth);
        if (!size) return std::unexpected{size.error()};
        planned.size += *size;
        auto result = result_of(member, {}, depth);
        if (!result) return result;
        nested = nested || is_group_result(*result);
        results.push_back(std::move(*result));
    }
    if (nested) {
        planned.structure =
            Json{Json::Array{Json{Json::Array{group_id, Json{}}}, std::move(results)}};
    }
    plan_.chords.push_back(std::move(planned));
    options.set("task_id", group_id);
    options.set("chord", Json::raw(to_json_text(encode_signature(body))));
    (void)taken(parts->header.options, "group_id");
    return apply(parts->header, args, options, depth + 1);
}

// ---- What is never reached

namespace {

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
    if (depth > kCanvasDepthMax) return too_deep();
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

Result<std::vector<UnreachedCall>> unreached_calls(const Signature& signature) {
    std::vector<UnreachedCall> calls;
    if (auto added = add_unreached(signature, calls, 0); !added) {
        return std::unexpected{std::move(added.error())};
    }
    return calls;
}

}  // namespace lovage
