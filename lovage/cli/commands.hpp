#pragma once

#include <lovage/app/app.hpp>
#include <lovage/cli/arguments.hpp>
#include <lovage/core/error.hpp>

#include <iosfwd>
#include <string>
#include <vector>

namespace lovage::cli {

/// Exit codes, as Celery's programs have them.
inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;
inline constexpr int kUsage = 2;
inline constexpr int kUnreachable =
    69;  ///< Broker or result backend cannot be reached, or no worker replies.

/// Where a command writes what it was asked for, what went wrong, and where it reads an answer
/// from.
struct Console {
    std::ostream& out;
    std::ostream& err;
    std::istream& in;
    bool color = false;
};

// Each runs one sub-command and returns the exit code. They block; not for the app's own loop.

int run_worker(App& app, const WorkerArguments& arguments, Console& console);
int run_call(App& app, const CallArguments& arguments, Console& console);
int run_result(App& app, const ResultArguments& arguments, Console& console);
int run_revoke(App& app, const RevokeArguments& arguments, Console& console);
int run_graph(App& app, const GraphArguments& arguments, Console& console);
int run_status(App& app, const StatusArguments& arguments, Console& console);
int run_remote(App& app, const RemoteArguments& arguments, Console& console);
int run_purge(App& app, const PurgeArguments& arguments, Console& console);
int run_quarantine(App& app, const QuarantineArguments& arguments, Console& console);
int run_events(App& app, const EventsArguments& arguments, Console& console);
int run_beat(App& app, const BeatArguments& arguments, Console& console);
int run_schedule(App& app, const ScheduleArguments& arguments, Console& console);

// What they share.

/// Writes "Error: …" and returns the exit code that fits.
int report(Console& console, const Error& error);
/// Says that no worker replied, in Celery's words, and returns its exit code for it.
int report_no_nodes(Console& console);
/// Asks a question that is answered with "yes" or "y"; anything else, and the end of input, means
/// no.
[[nodiscard]] bool confirm(Console& console, const std::string& question);
/// The queues this app's settings and tasks name, sorted.
[[nodiscard]] std::vector<std::string> known_queues(App& app);

/// The registered tasks that go to none of `queues`, by the queue they go to: "mail (send, digest);
/// reports (monthly)". Empty: there are none.
[[nodiscard]] std::string unserved_tasks(App& app, const std::vector<std::string>& queues);

}  // namespace lovage::cli
