// A Lovage client on standard input and output, for tests in Python: one JSON request a line, one
// JSON answer a line. client.py answers the same requests with Celery.

#include <lovage/cli/default_drivers.hpp>
#include <lovage/lovage.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <signal.h>
#include <sys/prctl.h>

namespace {

using lovage::Json;
using lovage::value_or_throw;
using std::chrono::milliseconds;

/// The member `name` of a request; null when it is not there.
const Json& member(const Json& request, std::string_view name) {
    static const Json null;
    const Json* value = request.find(name);
    return value != nullptr ? *value : null;
}

std::string text(const Json& request, std::string_view name) {
    const Json& value = member(request, name);
    return value.is_null() ? "" : value.as_string();
}

/// The member in milliseconds, given in seconds.
milliseconds seconds(const Json& value) {
    return milliseconds{value.is_real() ? static_cast<std::int64_t>(value.as_real() * 1000)
                                        : value.as_int64().value() * 1000};
}

lovage::SendOptions send_options(const Json& request) {
    lovage::SendOptions options;
    options.queue = text(request, "queue");
    options.task_id = text(request, "task_id");
    if (const Json* value = request.find("countdown")) options.countdown = seconds(*value);
    if (const Json* value = request.find("eta")) {
        options.eta = value_or_throw(lovage::parse_iso8601(value->as_string()));
    }
    if (const Json* value = request.find("expires")) options.expires = seconds(*value);
    if (const Json* value = request.find("priority")) {
        options.priority = static_cast<std::uint8_t>(value->as_int64().value());
    }
    if (const Json* value = request.find("headers")) options.headers = *value;
    if (const Json* value = request.find("stamps")) options.stamps = *value;
    if (const Json* value = request.find("ignore_result")) {
        options.ignore_result = value->as_bool();
    }
    return options;
}

/// The value of a task, as the type that `kind` asks for.
Json value(const lovage::App& app, const Json& request) {
    const std::string id = text(request, "id");
    const std::string kind = text(request, "kind");
    const milliseconds timeout = seconds(member(request, "timeout"));
    if (kind == "moment") {
        return lovage::to_iso8601(app.async_result<lovage::TimePoint>(id).get(timeout));
    }
    if (kind == "bytes") {
        Json numbers = Json::array();
        for (const char byte : app.async_result<lovage::Bytes>(id).get(timeout).data) {
            numbers.push_back(static_cast<unsigned char>(byte));
        }
        return numbers;
    }
    return app.async_result(id).get(timeout);
}

using Untyped = lovage::Canvas<>;

Untyped canvas(const lovage::App& app, const Json& wanted);

std::vector<Untyped> canvases(const lovage::App& app, const Json& wanted) {
    std::vector<Untyped> all;
    for (const Json& one : wanted.as_array()) all.push_back(canvas(app, one));
    return all;
}

/// A canvas as tests describe it: `{"chain": [...]}`, `{"group": [...]}`, `{"chord": [header,
/// body]}`, `{"map": [task, items]}`, `{"starmap": …}`, `{"chunks": [task, items, size]}`,
/// `{"task": name, "args": [...], "queue": …, "immutable": …, "link": …, "link_error": …}`.
Untyped canvas(const lovage::App& app, const Json& wanted) {
    if (const Json* steps = wanted.find("chain")) return lovage::chain(canvases(app, *steps));
    if (const Json* members = wanted.find("group")) {
        return {app.core(), lovage::group(canvases(app, *members)).signature()};
    }
    if (const Json* chord = wanted.find("chord")) {
        const auto header = canvases(app, chord->as_array()[0]);
        return lovage::chord(header, canvas(app, chord->as_array()[1]));
    }
    if (const Json* map = wanted.find("map")) {
        const auto made = lovage::map(canvas(app, map->as_array()[0]), map->as_array()[1]);
        return made.set(send_options(wanted));
    }
    if (const Json* map = wanted.find("starmap")) {
        const auto made = lovage::starmap(canvas(app, map->as_array()[0]), map->as_array()[1]);
        return made.set(send_options(wanted));
    }
    if (const Json* chunks = wanted.find("chunks")) {
        const auto& parts = chunks->as_array();
        const auto size = static_cast<std::size_t>(parts[2].as_int64().value());
        const auto made = lovage::chunks(canvas(app, parts[0]), parts[1], size);
        return {app.core(), made.set(send_options(wanted)).signature()};
    }
    lovage::Signature call;
    call.task = text(wanted, "task");
    if (const Json* args = wanted.find("args")) call.args = *args;
    call.immutable = wanted.find("immutable") != nullptr;
    Untyped made = Untyped{app.core(), std::move(call)}.set(send_options(wanted));
    if (const Json* link = wanted.find("link")) made = made.link(canvas(app, *link));
    if (const Json* link = wanted.find("link_error")) made = made.link_error(canvas(app, *link));
    return made;
}

Json ids_of(const lovage::GroupResultBase& group) {
    Json members = Json::array();
    for (const std::string& id : group.task_ids()) members.push_back(id);
    return members;
}

/// The id of what it ends with, and those of the members when that is a group.
Json apply_canvas(const lovage::App& app, const Json& request) {
    const auto result =
        lovage::as_group(canvas(app, member(request, "canvas"))).apply_async(send_options(request));
    if (request.find("save") != nullptr) result.save();
    return Json::object({{"id", result.id()}, {"members", ids_of(result)}});
}

/// A group by its members.
lovage::GroupResult<> group_of(const lovage::App& app, const Json& request) {
    std::vector<std::string> members;
    for (const Json& id : member(request, "members").as_array()) members.push_back(id.as_string());
    return {app.core(), text(request, "id"), std::move(members)};
}

Json answer(const lovage::App& app, const Json& request) {
    const std::string what = text(request, "do");
    if (what == "send") {
        return app
            .send_task(text(request, "task"), member(request, "args"), member(request, "kwargs"),
                       send_options(request))
            .id();
    }
    if (what == "canvas") return apply_canvas(app, request);
    if (what == "revoke") {
        group_of(app, request).revoke();
        return {};
    }
    if (what == "restore") return ids_of(app.group_result(text(request, "id")));
    const auto result = app.async_result(text(request, "id"));
    if (what == "get") return value(app, request);
    if (what == "state") return result.state();
    if (what == "children") return result.meta().children;
    if (what == "forget") {
        result.forget();
        return {};
    }
    throw std::runtime_error{"no such request: " + what};
}

/// `{"value": …}`, or how the task failed, or what went wrong here.
Json reply(const lovage::App& app, const std::string& line) {
    try {
        return Json::object({{"value", answer(app, value_or_throw(lovage::parse_json(line)))}});
    } catch (const lovage::LovageError& error) {
        if (const auto& failure = error.error().failure) {
            return Json::object({{"failure", Json::object({{"exc_type", failure->exc_type},
                                                           {"message", failure->exc_message},
                                                           {"module", failure->exc_module},
                                                           {"traceback", failure->traceback}})}});
        }
        return Json::object({{"error", error.what()}});
    }
}

}  // namespace

int main() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    lovage::register_default_drivers();
    const lovage::App app{"interop"};
    std::string line;
    while (std::getline(std::cin, line)) {
        std::cout << lovage::to_json_text(reply(app, line)) << std::endl;
    }
    return 0;
}
