#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::sqlite {

class FolderWatch;

/// Tells every process that watches this file that something was committed. Thread-safe.
///
/// The file holds a counter in shared memory and one byte whose writing makes the kernel tell the
/// watchers (inotify). A process compares the counter with its own share of it, so it is not woken
/// by itself; its own watchers are told directly.
class WakeFile {
public:
    /// The wake file of this path in this process; made when missing. Errors: unavailable.
    [[nodiscard]] static Result<std::shared_ptr<WakeFile>> open(const std::filesystem::path& file);
    ~WakeFile();
    WakeFile(const WakeFile&) = delete;
    WakeFile& operator=(const WakeFile&) = delete;

    /// Wakes every watcher, in this and in other processes. Never blocks on them; several touches
    /// may arrive as one.
    void touch() noexcept;
    [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }

private:
    friend class FolderWatch;
    struct Listener;
    explicit WakeFile(std::filesystem::path file) : file_{std::move(file)} {}
    void add(const std::shared_ptr<Listener>& listener);
    /// Nothing is posted to it any more.
    void remove(const std::shared_ptr<Listener>& listener);
    /// True when another process touched it since `listener` asked last.
    [[nodiscard]] bool touched_by_others(Listener& listener) noexcept;

    std::filesystem::path file_;
    int descriptor_ = -1;
    std::atomic<std::uint64_t>* shared_count_ = nullptr;  ///< Touches by all processes.
    std::atomic<std::uint64_t> own_count_{0};             ///< Touches by this one.
    std::mutex mutex_;
    std::vector<std::shared_ptr<Listener>> listeners_;
};

/// Follows a WakeFile, and if wanted the locks of the peers in a folder, on one loop. Not
/// thread-safe.
///
/// Uses one inotify instance (a user has 128 by default).
class FolderWatch {
public:
    struct Handlers {
        /// Something was committed, by this process or another. May be empty.
        std::function<void()> woken;
        /// Something was committed by another process. May be empty.
        std::function<void()> woken_by_others;
        /// A process closed (or lost, by dying) the lock file of that peer. May be empty.
        std::function<void(std::string peer)> peer_closed;
        /// Events were lost: look at everything. Called beside `woken`. May be empty.
        std::function<void()> overflowed;
    };

    /// Events count from here on. `peers` is the folder of PeerLock, or empty.
    /// Errors: unavailable (no inotify instance or watch left: names the kernel setting).
    [[nodiscard]] static Result<std::unique_ptr<FolderWatch>> open(
        const Executor& executor, std::shared_ptr<WakeFile> wake_file,
        const std::filesystem::path& peers, Handlers handlers);
    ~FolderWatch();
    FolderWatch(const FolderWatch&) = delete;
    FolderWatch& operator=(const FolderWatch&) = delete;

    /// Calls the handlers until it is cancelled. Spawn it in a TaskScope.
    /// Lifetime: `*this` must outlive the returned Awaitable.
    [[nodiscard]] Awaitable<void> run();

private:
    FolderWatch(const Executor& executor, std::shared_ptr<WakeFile> wake_file, Handlers handlers);
    void handle(std::string_view events);

    std::shared_ptr<WakeFile> wake_file_;
    std::shared_ptr<WakeFile::Listener> listener_;
    boost::asio::posix::stream_descriptor inotify_;
    Handlers handlers_;
    int wake_watch_ = -1;
    int peers_watch_ = -1;
};

/// A file that is locked as long as this process lives: the kernel lets go of it when the process
/// dies, however it dies, and tells the watchers of its folder.
class PeerLock {
public:
    /// Makes `<folder>/<peer>.lock` and locks it. It appears under its name already locked.
    /// Errors: unavailable.
    [[nodiscard]] static Result<PeerLock> create(const std::filesystem::path& folder,
                                                 std::string_view peer);
    PeerLock(PeerLock&& other) noexcept;
    PeerLock& operator=(PeerLock&& other) noexcept;
    /// Removes the file and lets go.
    ~PeerLock();

private:
    PeerLock(std::filesystem::path file, int descriptor)
        : file_{std::move(file)}, descriptor_{descriptor} {}
    void drop() noexcept;
    std::filesystem::path file_;
    int descriptor_ = -1;
};

/// Whether some process holds the peer's lock. A stopped process still does.
[[nodiscard]] bool peer_is_alive(const std::filesystem::path& folder, std::string_view peer);
/// Removes the lock file that a dead peer left behind.
void forget_peer(const std::filesystem::path& folder, std::string_view peer);

}  // namespace lovage::sqlite
