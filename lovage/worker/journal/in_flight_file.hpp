#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lovage/core/error.hpp>
#include <lovage/core/time.hpp>
#include <lovage/runtime/file_descriptor.hpp>

namespace lovage::journal {

/// Where workers of one host keep their files, and which of them are about the same tasks.
struct Place {
    std::filesystem::path folder;
    /// The first part of file names: the same for workers with the same broker and results.
    std::string group;
};

/// A task that a worker had started.
struct StartedTask {
    std::string id;
    TimePoint started;
    friend bool operator==(const StartedTask&, const StartedTask&) = default;
};

/// The tasks that this worker process has started and not ended, in a file of its own that is
/// mapped into memory: noting one costs a few plain stores, and what is stored is there after the
/// process has died, of whatever signal.
///
/// The file is locked (flock) for as long as the process lives; the kernel lets go of that lock, so
/// nobody has to ask whether a process id still means the same process. Thread-safe.
class InFlightFile {
public:
    /// Longer task ids are not noted.
    static constexpr std::size_t kIdBytesMax = 112;

    /// Creates the file, with disk space for `tasks` at a time; further ones are not noted.
    /// Errors: unavailable (folder or space), invalid_argument (somebody else's folder).
    [[nodiscard]] static Result<std::shared_ptr<InFlightFile>> create(const Place& place,
                                                                      std::size_t tasks);
    ~InFlightFile();
    InFlightFile(const InFlightFile&) = delete;
    InFlightFile& operator=(const InFlightFile&) = delete;

    /// Removes the file: whatever becomes of the process now, its tasks are not to blame.
    void remove() noexcept;

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

private:
    friend class InFlightMark;
    struct Memory;

    InFlightFile(FileDescriptor file, std::filesystem::path path, void* memory, std::size_t tasks);
    /// The record that now names the task, or kNone.
    std::uint32_t begin(std::string_view task_id, TimePoint now) noexcept;
    void end(std::uint32_t record) noexcept;

    static constexpr std::uint32_t kNone = 0xffffffffU;

    FileDescriptor file_;  // locked
    std::filesystem::path path_;
    void* memory_;
    std::size_t bytes_;
    std::mutex mutex_;  // guards what follows
    std::vector<std::uint32_t> free_;
};

/// Notes a task in the file from here to its destruction. Movable; not thread-safe.
class InFlightMark {
public:
    InFlightMark() noexcept = default;
    /// `file` may be null: then nothing is noted.
    InFlightMark(std::shared_ptr<InFlightFile> file, std::string_view task_id, TimePoint now);
    InFlightMark(InFlightMark&& other) noexcept
        : file_{std::move(other.file_)}, record_{other.record_} {}
    InFlightMark& operator=(InFlightMark&& other) noexcept;
    InFlightMark(const InFlightMark&) = delete;
    InFlightMark& operator=(const InFlightMark&) = delete;
    ~InFlightMark() { clear(); }

    void clear() noexcept;

private:
    std::shared_ptr<InFlightFile> file_;
    std::uint32_t record_ = 0;
};

/// The file of a worker that has died, locked by this process, so that nobody else reads it.
class DeadFile {
public:
    [[nodiscard]] const std::vector<StartedTask>& started() const noexcept { return started_; }
    /// The process it was.
    [[nodiscard]] std::uint32_t pid() const noexcept { return pid_; }
    /// Everything in it has been charged.
    void remove() noexcept;

private:
    friend std::vector<DeadFile> take_dead(const Place& place, TimePoint now);
    FileDescriptor file_;
    std::filesystem::path path_;
    std::uint32_t pid_ = 0;
    std::vector<StartedTask> started_;
};

/// The files of this group whose process is gone. Those of an earlier boot are removed instead (a
/// power cut is no task's doing), and so is what nobody has asked for in a week. What is not
/// removed is found again once its DeadFile is gone.
[[nodiscard]] std::vector<DeadFile> take_dead(const Place& place, TimePoint now);

/// Where the workers of this user keep their files when nobody says otherwise.
[[nodiscard]] std::filesystem::path default_folder();
/// A group's name: the same for all workers with these URLs, whatever password they use.
[[nodiscard]] std::string group_of(std::string_view broker_url, std::string_view result_url);

}  // namespace lovage::journal
