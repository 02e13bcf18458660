#include <lovage/clients/sqlite/wake_file.hpp>

#include <lovage/clients/sqlite/files.hpp>
#include <lovage/runtime/file_descriptor.hpp>

#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <system_error>

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

namespace lovage::sqlite {

namespace asio = boost::asio;

namespace {

constexpr std::string_view kLockSuffix = ".lock";
/// The counter, then the byte whose writing wakes.
constexpr off_t kWakeByteOffset = sizeof(std::uint64_t);
constexpr off_t kWakeFileBytes = kWakeByteOffset + 1;

std::unexpected<Error> system_failure(std::string_view what, const std::filesystem::path& path) {
    return file_failure(what, path, errno);
}

std::filesystem::path lock_path(const std::filesystem::path& folder, std::string_view peer) {
    return folder / fmt::format("{}{}", peer, kLockSuffix);
}

struct flock whole_file(short type) {
    struct flock lock{};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    return lock;
}

}  // namespace

// --- WakeFile ------------------------------------------------------------------------

struct WakeFile::Listener {
    Executor executor;
    std::function<void()> woken;  ///< The loop's.
    std::atomic<bool> post_pending{false};
    /// Touches by others that this listener knows of. Only its loop uses it.
    std::uint64_t seen_of_others = 0;
};

Result<std::shared_ptr<WakeFile>> WakeFile::open(const std::filesystem::path& file) {
    static std::mutex mutex;
    static std::map<std::filesystem::path, std::weak_ptr<WakeFile>> open_files;

    const auto key = real_path(file);
    const std::lock_guard lock{mutex};
    if (auto existing = open_files[key].lock()) return existing;

    std::shared_ptr<WakeFile> opened{new WakeFile{key}};
    opened->descriptor_ = ::open(key.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (opened->descriptor_ < 0) return system_failure("cannot open the wake file", key);
    // Growing only: another process may have it mapped.
    if (::lseek(opened->descriptor_, 0, SEEK_END) < kWakeFileBytes) {
        const int problem = ::posix_fallocate(opened->descriptor_, 0, kWakeFileBytes);
        if (problem != 0) return file_failure("cannot write the wake file", key, problem);
    }
    void* const memory = ::mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
                                opened->descriptor_, 0);
    if (memory == MAP_FAILED) return system_failure("cannot map the wake file", key);
    static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
    opened->shared_count_ = static_cast<std::atomic<std::uint64_t>*>(memory);
    open_files[key] = opened;
    return opened;
}

WakeFile::~WakeFile() {
    if (shared_count_ != nullptr) ::munmap(shared_count_, sizeof(std::uint64_t));
    if (descriptor_ >= 0) ::close(descriptor_);
}

void WakeFile::touch() noexcept {
    {
        const std::lock_guard lock{mutex_};
        for (const auto& listener : listeners_) {
            if (listener->post_pending.exchange(true)) continue;
            asio::post(listener->executor, [weak = std::weak_ptr{listener}] {
                if (const auto alive = weak.lock()) {
                    alive->post_pending = false;
                    if (alive->woken) alive->woken();
                }
            });
        }
    }
    // Own share first: whoever reads the sum first and the share second never takes our touch for
    // another's without a later event of its own; the reverse order could lose one.
    own_count_.fetch_add(1);
    shared_count_->fetch_add(1);
    const char byte = 1;
    (void)!::pwrite(descriptor_, &byte, 1, kWakeByteOffset);
}

void WakeFile::add(const std::shared_ptr<Listener>& listener) {
    const std::lock_guard lock{mutex_};
    listeners_.push_back(listener);
    listener->seen_of_others = shared_count_->load() - own_count_.load();
}

void WakeFile::remove(const std::shared_ptr<Listener>& listener) {
    const std::lock_guard lock{mutex_};
    std::erase(listeners_, listener);
}

bool WakeFile::touched_by_others(Listener& listener) noexcept {
    // A touch of ours that happens between these two reads makes the difference too small by one
    // now, and right again at the event which that touch causes.
    const std::uint64_t all = shared_count_->load();
    const std::uint64_t others = all - own_count_.load();
    if (others == listener.seen_of_others) return false;
    listener.seen_of_others = others;
    return true;
}

// --- FolderWatch ---------------------------------------------------------------------

FolderWatch::FolderWatch(const Executor& executor, std::shared_ptr<WakeFile> wake_file,
                         Handlers handlers)
    : wake_file_{std::move(wake_file)},
      listener_{std::make_shared<WakeFile::Listener>()},
      inotify_{executor},
      handlers_{std::move(handlers)} {
    listener_->executor = executor;
    listener_->woken = handlers_.woken;
}

FolderWatch::~FolderWatch() {
    wake_file_->remove(listener_);
}

Result<std::unique_ptr<FolderWatch>> FolderWatch::open(const Executor& executor,
                                                       std::shared_ptr<WakeFile> wake_file,
                                                       const std::filesystem::path& peers,
                                                       Handlers handlers) {
    std::unique_ptr<FolderWatch> watch{
        new FolderWatch{executor, std::move(wake_file), std::move(handlers)}};
    const int descriptor = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (descriptor < 0) {
        // The kernel has one word for two limits: one that is the process's own lets it open
        // nothing else either.
        const int problem = errno;
        const auto& file = watch->wake_file_->file();
        const FileDescriptor other{::fcntl(watch->wake_file_->descriptor_, F_DUPFD_CLOEXEC, 0)};
        if (!other) return file_failure("cannot watch", file, problem);
        return file_failure(
            "no inotify instance left (raise the kernel setting fs.inotify.max_user_instances) to "
            "watch",
            file, problem);
    }
    watch->inotify_.assign(descriptor);
    watch->wake_watch_ =
        ::inotify_add_watch(descriptor, watch->wake_file_->file().c_str(), IN_MODIFY);
    if (watch->wake_watch_ < 0) {
        return system_failure("cannot watch (see the kernel setting fs.inotify.max_user_watches)",
                              watch->wake_file_->file());
    }
    if (!peers.empty()) {
        watch->peers_watch_ = ::inotify_add_watch(descriptor, peers.c_str(), IN_CLOSE_WRITE);
        if (watch->peers_watch_ < 0) return system_failure("cannot watch", peers);
    }
    watch->wake_file_->add(watch->listener_);
    return watch;
}

Awaitable<void> FolderWatch::run() {
    alignas(inotify_event) std::array<char, 4096> buffer;
    while (true) {
        const auto [error, bytes] = co_await inotify_.async_read_some(
            asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
        if (error) co_return;
        handle({buffer.data(), bytes});
    }
}

void FolderWatch::handle(std::string_view events) {
    bool touched = false;
    bool overflowed = false;
    std::vector<std::string> closed;
    while (events.size() >= sizeof(inotify_event)) {
        inotify_event event{};
        std::memcpy(&event, events.data(), sizeof(event));
        const std::string_view name =
            event.len > 0 ? events.data() + sizeof(event) : std::string_view{};
        events.remove_prefix(sizeof(event) + event.len);
        if ((event.mask & IN_Q_OVERFLOW) != 0) overflowed = true;
        if (event.wd == wake_watch_) touched = true;
        if (event.wd == peers_watch_ && name.ends_with(kLockSuffix)) {
            closed.emplace_back(name.substr(0, name.size() - kLockSuffix.size()));
        }
    }
    const bool by_others = wake_file_->touched_by_others(*listener_);
    if ((touched && by_others) || overflowed) {
        if (handlers_.woken) handlers_.woken();
        if (handlers_.woken_by_others) handlers_.woken_by_others();
    }
    if (overflowed && handlers_.overflowed) handlers_.overflowed();
    if (handlers_.peer_closed) {
        for (auto& peer : closed) handlers_.peer_closed(std::move(peer));
    }
}

// --- PeerLock ------------------------------------------------------------------------

Result<PeerLock> PeerLock::create(const std::filesystem::path& folder, std::string_view peer) {
    const std::filesystem::path file = lock_path(folder, peer);
    const std::filesystem::path unlocked = folder / fmt::format("{}.new", peer);
    const int descriptor = ::open(unlocked.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) return system_failure("cannot make the lock file", unlocked);
    PeerLock lock{file, descriptor};
    struct flock wanted = whole_file(F_WRLCK);
    if (::fcntl(descriptor, F_OFD_SETLK, &wanted) != 0) {
        return system_failure("cannot lock (a file system without locks?)", unlocked);
    }
    if (::rename(unlocked.c_str(), file.c_str()) != 0) {
        return system_failure("cannot rename the lock file", unlocked);
    }
    return lock;
}

PeerLock::PeerLock(PeerLock&& other) noexcept
    : file_{std::move(other.file_)}, descriptor_{std::exchange(other.descriptor_, -1)} {}

PeerLock& PeerLock::operator=(PeerLock&& other) noexcept {
    if (this != &other) {
        drop();
        file_ = std::move(other.file_);
        descriptor_ = std::exchange(other.descriptor_, -1);
    }
    return *this;
}

PeerLock::~PeerLock() {
    drop();
}

void PeerLock::drop() noexcept {
    if (descriptor_ < 0) return;
    ::unlink(file_.c_str());
    ::close(descriptor_);
    descriptor_ = -1;
}

bool peer_is_alive(const std::filesystem::path& folder, std::string_view peer) {
    // Read-only, so that closing it is not the event that brought us here.
    const int descriptor = ::open(lock_path(folder, peer).c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return errno != ENOENT;
    struct flock asked = whole_file(F_WRLCK);
    const bool known = ::fcntl(descriptor, F_OFD_GETLK, &asked) == 0;
    ::close(descriptor);
    return !known || asked.l_type != F_UNLCK;
}

void forget_peer(const std::filesystem::path& folder, std::string_view peer) {
    ::unlink(lock_path(folder, peer).c_str());
}

}  // namespace lovage::sqlite
