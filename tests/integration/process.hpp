#pragma once

#include <lovage/runtime/deadline.hpp>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace lovage::integration {

/// How a process ended.
struct Ending {
    int exit_code = -1;  ///< -1 when a signal ended it.
    int signal = 0;      ///< 0 when it exited.
    friend bool operator==(const Ending&, const Ending&) = default;
};
void PrintTo(const Ending& ending, std::ostream* out);

/// A child process. The destructor kills it if it still runs.
class Process {
public:
    struct Options {
        std::vector<std::string> arguments;              ///< With the program first.
        std::map<std::string, std::string> environment;  ///< Beside this process's own.
        std::filesystem::path folder;                    ///< Where it runs.
        std::filesystem::path output;                    ///< Gets standard output.
        std::filesystem::path errors;                    ///< Gets standard error; may be `output`.
    };
    /// Throws std::runtime_error when it cannot be started.
    explicit Process(const Options& options);
    Process(Process&& other) noexcept;
    Process& operator=(Process&& other) noexcept;
    ~Process();

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// Does nothing when it has ended.
    void signal(int number) const;
    /// Waits for its end; nothing when the deadline passed first.
    [[nodiscard]] std::optional<Ending> wait(Deadline deadline);
    /// kill -9, and waits.
    void kill();

private:
    void close() noexcept;
    pid_t pid_ = -1;
    int descriptor_ = -1;  ///< pidfd
    std::optional<Ending> ending_;
};

/// The children of a process.
[[nodiscard]] std::vector<pid_t> children_of(pid_t parent);

/// Whether every child of this process is gone, waiting a moment: slots of a worker that was killed
/// die by themselves.
[[nodiscard]] bool all_children_ended();

}  // namespace lovage::integration
