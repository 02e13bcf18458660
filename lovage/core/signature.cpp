#include <lovage/core/signature.hpp>

#include <utility>

#include <fmt/format.h>

#include <lovage/core/python_repr.hpp>

namespace lovage {
namespace {

std::unexpected<Error> bad(std::string_view what, std::string_view problem) {
    return fail(Errc::malformed, fmt::format("{} {}", what, problem));
}

std::unexpected<Error> wrong_type(std::string_view what, std::string_view key,
                                  std::string_view expected, const Json& found) {
    return bad(what,
               fmt::format("has '{}' that is no {}: {}", key, expected, python_repr(found, 60)));
}

/// A null counts as missing, as it does for Python's `d.get(key) or …`.
bool given(const Json& value) {
    return !value.is_null();
}

Result<SignatureType> read_type(const Json& value, std::string_view what) {
    if (!given(value)) return SignatureType::task;
    for (const SignatureType type :
         {SignatureType::chain, SignatureType::group, SignatureType::chord}) {
        if (value.is_string() && value.as_string() == to_string(type)) return type;
    }
    return wrong_type(what, "subtask_type", "chain, group or chord", value);
}

/// One level deep; raw maps and lists are opened.
Result<Json> opened(const Json& value, std::string_view what) {
    auto done = value.expanded();
    if (!done) return bad(what, "cannot be read: " + done.error().detail);
    return done;
}

Result<void> read_member(Signature& signature, const std::string& key, const Json& value,
                         std::string_view what) {
    if (key == "task") {
        if (!value.is_string() || value.as_string().empty()) {
            return wrong_type(what, key, "task name", value);
        }
        signature.task = value.as_string();
    } else if (key == "args") {
        if (!given(value)) return {};
        if (value.python_type_name() != "list") return wrong_type(what, key, "list", value);
        signature.args = value;
    } else if (key == "kwargs") {
        if (!given(value)) return {};
        if (value.python_type_name() != "dict") return wrong_type(what, key, "map", value);
        signature.kwargs = value;
    } else if (key == "options") {
        if (!given(value)) return {};
        if (value.python_type_name() != "dict") return wrong_type(what, key, "map", value);
        auto options = opened(value, what);
        if (!options) return std::unexpected{std::move(options.error())};
        signature.options = std::move(*options);
    } else if (key == "subtask_type") {
        auto type = read_type(value, what);
        if (!type) return std::unexpected{std::move(type.error())};
        signature.type = *type;
    } else if (key == "immutable") {
        if (given(value) && !value.is_bool()) return wrong_type(what, key, "bool", value);
        signature.immutable = given(value) && value.as_bool();
    } else if (key == "chord_size") {
        if (!given(value)) return {};
        if (!value.is_integer() || !value.as_int64()) return wrong_type(what, key, "int", value);
        signature.chord_size = value.as_int64();
    } else {
        signature.extra.set(key, value);
    }
    return {};
}

std::string name_of(const Signature& signature) {
    return fmt::format("{} '{}'", to_string(signature.type), signature.task);
}

/// A canvas' kwargs, opened, with the member `key`.
Result<Json> part_of(const Signature& canvas, std::string_view key) {
    auto kwargs = opened(canvas.kwargs, name_of(canvas));
    if (!kwargs) return kwargs;
    const Json* part = kwargs->find(key);
    if (part == nullptr || part->is_null()) {
        return bad(name_of(canvas), fmt::format("has no '{}'", key));
    }
    return *part;
}

void set_part(Signature& canvas, std::string_view key, Json value) {
    auto kwargs = canvas.kwargs.expanded();
    if (!kwargs || !kwargs->is_object()) kwargs = Json::object();
    kwargs->set(key, std::move(value));
    canvas.kwargs = std::move(*kwargs);
}

}  // namespace

std::string_view to_string(SignatureType type) noexcept {
    switch (type) {
        case SignatureType::task:
            return "task";
        case SignatureType::chain:
            return "chain";
        case SignatureType::group:
            return "group";
        case SignatureType::chord:
            return "chord";
    }
    return "task";
}

const Json* Signature::option(std::string_view name) const noexcept {
    const Json* value = options.find(name);
    return value != nullptr && given(*value) ? value : nullptr;
}

std::string Signature::task_id() const {
    const Json* id = option("task_id");
    return id != nullptr && id->is_string() ? id->as_string() : std::string{};
}

Result<Signature> decode_signature(const Json& value, std::string_view what) {
    auto map = opened(value, what);
    if (!map) return std::unexpected{std::move(map.error())};
    if (!map->is_object()) {
        return bad(what, "is no signature but " + python_repr(value, 60));
    }
    Signature signature;
    for (const auto& [key, member] : map->as_object()) {
        if (auto read = read_member(signature, key, member, what); !read) {
            return std::unexpected{std::move(read.error())};
        }
    }
    if (signature.task.empty()) return bad(what, "has no 'task'");
    return signature;
}

Result<std::vector<Signature>> decode_signatures(const Json& value, std::string_view what) {
    std::vector<Signature> signatures;
    if (value.is_null()) return signatures;
    auto list = opened(value, what);
    if (!list) return std::unexpected{std::move(list.error())};
    if (list->is_object()) list = Json::array({std::move(*list)});
    if (!list->is_array()) return bad(what, "are no list but " + python_repr(value, 60));
    const Json::Array& items = list->as_array();
    if (items.size() > kCanvasMembersMax) {
        return fail(Errc::too_large, fmt::format("{} are {}; at most {} can be", what, items.size(),
                                                 kCanvasMembersMax));
    }
    signatures.reserve(items.size());
    for (const Json& item : items) {
        auto signature = decode_signature(item, fmt::format("{} {}", what, signatures.size()));
        if (!signature) return std::unexpected{std::move(signature.error())};
        signatures.push_back(std::move(*signature));
    }
    return signatures;
}

Json encode_signature(const Signature& signature) {
    const bool task = signature.type == SignatureType::task;
    Json::Object members;
    members.reserve(7 + signature.extra.as_object().size());
    members.emplace_back("task", signature.task);
    members.emplace_back("args", signature.args);
    members.emplace_back("kwargs", signature.kwargs);
    members.emplace_back("options", signature.options);
    members.emplace_back("subtask_type", task ? Json{} : Json{to_string(signature.type)});
    members.emplace_back("immutable", signature.immutable);
    if (signature.chord_size) members.emplace_back("chord_size", *signature.chord_size);
    for (const auto& member : signature.extra.as_object()) members.push_back(member);
    return Json{std::move(members)};
}

Json encode_signatures(const std::vector<Signature>& signatures) {
    Json::Array items;
    items.reserve(signatures.size());
    for (const Signature& signature : signatures) items.push_back(encode_signature(signature));
    return Json{std::move(items)};
}

Result<std::vector<Signature>> tasks_of(const Signature& canvas) {
    LOVAGE_ASSERT(canvas.type == SignatureType::chain || canvas.type == SignatureType::group);
    auto tasks = part_of(canvas, "tasks");
    if (!tasks) return std::unexpected{std::move(tasks.error())};
    return decode_signatures(*tasks, name_of(canvas) + " task");
}

Result<ChordParts> parts_of(const Signature& chord) {
    LOVAGE_ASSERT(chord.type == SignatureType::chord);
    const auto header = part_of(chord, "header");
    if (!header) return std::unexpected{header.error()};
    const auto body = part_of(chord, "body");
    if (!body) return std::unexpected{body.error()};
    ChordParts parts;
    auto read_body = decode_signature(*body, name_of(chord) + " body");
    if (!read_body) return std::unexpected{std::move(read_body.error())};
    parts.body = std::move(*read_body);
    if (header->python_type_name() != "dict") {
        auto members = decode_signatures(*header, name_of(chord) + " header");
        if (!members) return std::unexpected{std::move(members.error())};
        parts.header = make_group(*members);
        return parts;
    }
    auto read_header = decode_signature(*header, name_of(chord) + " header");
    if (!read_header) return std::unexpected{std::move(read_header.error())};
    // A single signature is a header of one.
    parts.header = read_header->type == SignatureType::group ? std::move(*read_header)
                                                             : make_group({*read_header});
    return parts;
}

void set_tasks(Signature& canvas, const std::vector<Signature>& tasks) {
    set_part(canvas, "tasks", encode_signatures(tasks));
}

void set_parts(Signature& chord, const ChordParts& parts) {
    set_part(chord, "header", encode_signature(parts.header));
    set_part(chord, "body", encode_signature(parts.body));
}

// Wire: the names under which Celery's own canvas classes travel.

Signature make_group(const std::vector<Signature>& tasks) {
    Signature group;
    group.task = "celery.group";
    group.type = SignatureType::group;
    set_tasks(group, tasks);
    return group;
}

Signature make_chord(const Signature& header, const Signature& body) {
    Signature chord;
    chord.task = "celery.chord";
    chord.type = SignatureType::chord;
    chord.kwargs = Json::object({{"kwargs", Json::object()}});
    set_parts(chord, {header, body});
    return chord;
}

}  // namespace lovage
