#pragma once

#include <csignal>

namespace lovage {

/// How a task is revoked.
struct RevokeOptions {
    /// Also stop it when it runs already: its TaskContext asks it to, a slot of its own is sent
    /// `signal`; it ends as REVOKED.
    bool terminate = false;
    /// With `terminate`, in the pool prefork: what the slot's process gets. SIGTERM, Celery's
    /// default, and SIGKILL kill it: slots leave SIGTERM to their worker. Any other signal arrives
    /// as it is, and what comes of it is the program's affair. 1 to 64.
    int signal = SIGTERM;
};

}  // namespace lovage
