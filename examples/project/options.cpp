#include "options.hpp"

#include <lovage/core/error.hpp>

#include <charconv>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace project {

namespace {

std::uint16_t parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), port);
    if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) {
        throw std::invalid_argument{
            fmt::format("--port {}: a number from 0 to 65535 is wanted", text)};
    }
    return port;
}

}  // namespace

Options parse_options(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        std::string_view name = argv[i];
        std::optional<std::string_view> value;
        if (const auto equals = name.find('='); equals != std::string_view::npos) {
            value = name.substr(equals + 1);
            name = name.substr(0, equals);
        }
        if (name == "--help" || name == "-h") {
            options.help = true;
        } else if (name == "--no-traffic") {
            options.traffic = false;
        } else if (name == "--host" || name == "--port") {
            if (!value && i + 1 < argc) value = argv[++i];
            if (!value) throw std::invalid_argument{fmt::format("{} needs a value", name)};
            if (value->empty()) {
                throw std::invalid_argument{fmt::format("{} must not be empty", name)};
            }
            if (name == "--host") {
                options.host = *value;
            } else {
                options.port = parse_port(*value);
            }
        } else {
            throw std::invalid_argument{
                fmt::format("unknown option '{}'; --help lists the options", name)};
        }
    }
    return options;
}

std::string help_text(const std::string& program, const std::string& what) {
    return fmt::format(
        "{}: {}\n\n"
        "  --host ADDRESS    where to listen (default: 127.0.0.1)\n"
        "  --port NUMBER     port, 0 for any free one (default: 5000)\n"
        "  --no-traffic      project-demo only: send no tasks by itself\n"
        "  --help            this text\n\n"
        "Broker and results: CELERY_BROKER_URL, CELERY_RESULT_BACKEND_URL (default: SQLite under "
        ".lovage/).\n"
        "Others: API_NAME, API_VERSION, API_V1_PATH, API_DESCRIPTION, CORS_ALLOW_ORIGINS,\n"
        "PROJECT_WORKER_QUEUE, CELERY_TASK_READY_TIME_OUT, CELERY_TASK_RESULT_TIME_OUT,\n"
        "LOVAGE_LOG_LEVEL, LOVAGE_LOG_FORMAT.\n",
        program, what);
}

void listen(lovage::http::Server& server, const Options& options) {
    auto listening = server.listen(options.host, options.port);
    if (listening) return;
    lovage::Error error = std::move(listening.error());
    if (error.code == lovage::Errc::already_exists) error.detail += "; choose another with --port";
    throw lovage::LovageError{std::move(error)};
}

}  // namespace project
