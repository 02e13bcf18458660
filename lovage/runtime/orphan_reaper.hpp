#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/awaitable.hpp>

#include <sys/types.h>

namespace lovage {

/// Which ended children nobody waits for.
///
/// The first process of a container inherits every orphan there: what tasks started and left behind
/// would stay in its process table for ever once it has ended. But the program may have children of
/// its own, whose ends belong to whoever started them. An orphan is therefore what was found ended
/// twice, one look after the other, since who waits for a child does so at once.
class OrphanFilter {
public:
    /// `ended` are the children that have ended and were not waited for. Returns those of them that
    /// the last look had found already.
    [[nodiscard]] std::vector<pid_t> look(const std::vector<pid_t>& ended);

private:
    std::set<pid_t> seen_;
};

/// What `/proc/<pid>/stat` says (proc(5)): nothing for a text of another form.
struct ProcessLine {
    pid_t parent = 0;
    bool ended = false;  ///< A zombie: it waits to be waited for.
};
[[nodiscard]] std::optional<ProcessLine> parse_process_line(std::string_view text);

/// Whether this process is the first of its process namespace, as in a container without an init.
[[nodiscard]] bool is_first_process();

/// Waits for orphans every few seconds until it is cancelled; for the first process.
[[nodiscard]] Awaitable<void> reap_orphans();

/// Signals without a handler do nothing to the first process. From here on SIGTERM, SIGINT, SIGQUIT
/// and SIGHUP end it as they would any other; for programs, before they install handlers of their
/// own. Does nothing in other processes, and for signals that are handled or ignored already.
void let_signals_end_first_process();

}  // namespace lovage
