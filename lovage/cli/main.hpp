#pragma once

#include <lovage/app/app.hpp>

namespace lovage {

/// The command line of a program with tasks: `worker`, `call`, `result`, `revoke`, `status`,
/// `purge`, `quarantine`, `--help`, `--version`, with Celery's option names. Returns what `main`
/// shall return: 0 success, 1 failure, 2 wrong usage or settings, 69 broker or result backend out
/// of reach.
///
/// Registers the default drivers, ignores SIGPIPE, loads the settings (flags, environment, file,
/// what the app was given) and sets the log up. Call it once, from the program's `main`, on an app
/// that has not sent anything yet, with all tasks registered: a worker's prefork slots are this
/// program started again with the same arguments, and serve when they get here. `worker` takes
/// SIGTERM, SIGINT and SIGQUIT.
int main(App& app, int argc, char** argv);

}  // namespace lovage
