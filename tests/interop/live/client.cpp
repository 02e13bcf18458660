// A Lovage client on standard input and output, for tests in Python: one JSON request a line, one
// JSON answer a line. client.py answers the same requests with Celery.

#include <lovage/cli/default_drivers.hpp>
#include <lovage/lovage.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>

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

Json answer(const lovage::App& app, const Json& request) {
    const std::string what = text(request, "do");
    if (what == "send") {
        return app
            .send_task(text(request, "task"), member(request, "args"), member(request, "kwargs"),
                       send_options(request))
            .id();
    }
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
