#include "later_tasks.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/core/time.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace lovage::chaos {
namespace {

using namespace std::chrono_literals;

int lateness_file() {
    const char* const name = std::getenv("CHAOS_LATENESS");
    if (name == nullptr) throw std::runtime_error{"CHAOS_LATENESS is not set"};
    const int file = ::open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) throw std::system_error{errno, std::generic_category(), name};
    return file;
}

/// One line, written at once: slots write into the same file.
void later(std::int64_t number, std::int64_t due) {
    static const int file = lateness_file();
    const std::int64_t now = wall_clock_now().time_since_epoch().count();
    const std::string line = fmt::format("{} {} {}\n", number, now, now - due);
    if (::write(file, line.data(), line.size()) < 0) {
        throw std::system_error{errno, std::generic_category(), "CHAOS_LATENESS"};
    }
}

class LaterProducer {
public:
    LaterProducer(App& app, std::int64_t count, TimePoint first, std::chrono::seconds span)
        : app_{app},
          count_{count},
          first_{first},
          span_{span},
          scope_{app.core()->loop().executor()} {}

    Awaitable<void> run() {
        for (int lane = 0; lane < kLanes; ++lane) scope_.spawn("lane", send_on());
        (void)co_await scope_.join(Deadline::in(1h));
        if (problem_) throw LovageError{*problem_};
    }

private:
    static constexpr int kLanes = 256;
    static constexpr std::int64_t kStride = 7'368'787;  // a prime, so that every number comes once

    Awaitable<void> send_on() {
        while (next_ < count_ && !problem_) {
            const std::int64_t number = next_++ * kStride % count_;
            const TimePoint due = first_ + span_ * number / count_;
            const std::int64_t micros = due.time_since_epoch().count();
            auto sent =
                co_await app_.send("chaos.later", Json::array({number, micros}), Json::object(),
                                   {.eta = due, .ignore_result = true, .timeout = 5min});
            if (!sent.accepted()) problem_ = sent.error;
        }
    }

    App& app_;
    std::int64_t count_;
    TimePoint first_;
    std::chrono::microseconds span_;
    std::int64_t next_ = 0;
    std::optional<Error> problem_;
    TaskScope scope_;
};

}  // namespace

void register_later_tasks(App& app) {
    app.task("chaos.later", later, arg("number"), arg("due")).ignore_result();
}

int produce_later(App& app, std::int64_t count, TimePoint first, std::chrono::seconds span) {
    register_default_drivers();
    LaterProducer producer{app, count, first, span};
    app.core()->loop().run_blocking(producer.run());
    log::flush();
    return 0;
}

}  // namespace lovage::chaos
