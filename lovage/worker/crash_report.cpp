#include <lovage/worker/crash_report.hpp>

#include <lovage/core/task_error.hpp>

namespace lovage {

std::string native_traceback(const CrashReport& crash, const std::string& exception) {
    return "Traceback (most recent call last):\n" + crash.backtrace + exception + "\n";
}

TaskFailure worker_lost(const std::string& task, const CrashReport& crash) {
    std::string message = "Worker exited prematurely: " + crash.cause;
    if (!crash.address.empty()) message += " at address " + crash.address;
    message += ".";
    const std::string type = "WorkerLostError";
    std::string traceback;
    if (crash.backtrace.empty()) {
        traceback = traceback_text(task, "in a prefork slot", type, message);
    } else {
        traceback = native_traceback(crash, "billiard.exceptions." + type + ": " + message);
    }
    return {type, std::move(message), "billiard.exceptions", std::move(traceback)};
}

}  // namespace lovage
