#include <lovage/worker/journal/in_flight_file.hpp>

#include <lovage/runtime/log.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <numeric>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace lovage::journal {

namespace fs = std::filesystem;

namespace {

using namespace std::chrono_literals;

constexpr std::string_view kSuffix = ".inflight";
/// A file that is being made; it gets its name when it is whole and locked.
constexpr std::string_view kNewSuffix = ".new";
constexpr std::uint32_t kMagic = 0x4c4f5631;  // "LOV1"
constexpr std::size_t kBootIdBytes = 36;
/// What a file can hold at most: the coroutine pool's 100,000 slots, and some.
constexpr std::uint32_t kTasksMax = 200'000;
/// Files of groups that nobody serves any more go after that time.
constexpr auto kForgotten = std::chrono::hours{24 * 7};

struct Header {
    std::uint32_t magic;
    std::uint32_t pid;
    std::uint32_t tasks;              ///< Records that follow.
    std::atomic<std::uint32_t> used;  ///< Records from here on were never written.
    std::array<char, kBootIdBytes> boot_id;
    std::array<char, 12> unused;
};
static_assert(sizeof(Header) == 64);

/// `length` is written last and cleared first: other than 0, the rest is whole.
struct Record {
    std::atomic<std::uint32_t> length;
    std::uint32_t unused;
    std::int64_t started;  ///< Microseconds, wall clock.
    std::array<char, InFlightFile::kIdBytesMax> id;
};
static_assert(sizeof(Record) == 128);

std::size_t size_of(std::size_t tasks) {
    return sizeof(Header) + tasks * sizeof(Record);
}

std::array<char, kBootIdBytes> boot_id() {
    std::array<char, kBootIdBytes> id{};
    std::ifstream{"/proc/sys/kernel/random/boot_id"}.read(id.data(), id.size());
    return id;
}

std::unexpected<Error> trouble(const fs::path& path, std::string_view what) {
    return fail(Errc::unavailable,
                fmt::format("{}: {}: {}", path.string(), what, std::strerror(errno)));
}

/// Ours alone: others could make us charge tasks, or remove files of their choice.
Result<void> prepare_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder.parent_path(), error);
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return trouble(folder, "mkdir");
    struct stat found{};
    if (::lstat(folder.c_str(), &found) != 0) return trouble(folder, "lstat");
    constexpr mode_t kOthersMayWrite = S_IWGRP | S_IWOTH;
    if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() ||
        (found.st_mode & kOthersMayWrite) != 0) {
        return fail(Errc::invalid_argument,
                    fmt::format("{} is not a folder of this user's alone", folder.string()));
    }
    return {};
}

bool lock(int file) {
    return ::flock(file, LOCK_EX | LOCK_NB) == 0;
}

/// Reads what is there of `bytes`.
std::size_t read_at(int file, void* into, std::size_t bytes, std::size_t offset) {
    std::size_t done = 0;
    while (done < bytes) {
        const ssize_t got = ::pread(file, static_cast<char*>(into) + done, bytes - done,
                                    static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        done += static_cast<std::size_t>(got);
    }
    return done;
}

std::vector<StartedTask> read_records(int file, std::uint32_t used) {
    std::vector<StartedTask> started;
    Record record{};
    for (std::uint32_t i = 0; i < used; ++i) {
        if (read_at(file, &record, sizeof record, size_of(i)) != sizeof record) break;
        const std::uint32_t length = record.length.load();
        if (length == 0 || length > record.id.size()) continue;
        started.push_back({std::string{record.id.data(), length},
                           TimePoint{std::chrono::microseconds{record.started}}});
    }
    return started;
}

bool forgotten(int file, TimePoint now) {
    struct stat found{};
    if (::fstat(file, &found) != 0) return false;
    return std::chrono::seconds{found.st_mtim.tv_sec} + kForgotten < now.time_since_epoch();
}

}  // namespace

struct InFlightFile::Memory {
    static Header& header(void* memory) { return *static_cast<Header*>(memory); }
    static Record& record(void* memory, std::uint32_t index) {
        return *reinterpret_cast<Record*>(static_cast<char*>(memory) + size_of(index));
    }
};

Result<std::shared_ptr<InFlightFile>> InFlightFile::create(const Place& place, std::size_t tasks) {
    if (auto fine = prepare_folder(place.folder); !fine) {
        return std::unexpected{std::move(fine.error())};
    }
    tasks = std::clamp<std::size_t>(tasks, 1, kTasksMax);
    std::string pattern = (place.folder / (place.group + "-XXXXXX")).string();
    pattern += kNewSuffix;
    FileDescriptor file{
        ::mkostemps(pattern.data(), static_cast<int>(kNewSuffix.size()), O_CLOEXEC)};
    if (!file) return trouble(pattern, "create");
    const fs::path temporary{pattern};
    pattern.resize(pattern.size() - kNewSuffix.size());
    const fs::path path{pattern + std::string{kSuffix}};
    const std::size_t bytes = size_of(tasks);
    // Somebody who looks for dead workers may hold it for a moment.
    while (::flock(file.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
    // All of its space now: a full disk must not end the process at some store.
    const int no_space = ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes));
    void* const memory =
        no_space != 0 ? MAP_FAILED
                      : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED) {
        if (no_space != 0) errno = no_space;
        auto problem = trouble(temporary, "space for it");
        ::unlink(temporary.c_str());
        return problem;
    }
    std::shared_ptr<InFlightFile> made{new InFlightFile{std::move(file), path, memory, tasks}};
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
        auto problem = trouble(path, "rename");
        ::unlink(temporary.c_str());
        return problem;
    }
    return made;
}

InFlightFile::InFlightFile(FileDescriptor file, fs::path path, void* memory, std::size_t tasks)
    : file_{std::move(file)}, path_{std::move(path)}, memory_{memory}, bytes_{size_of(tasks)} {
    Header& header = Memory::header(memory_);
    header.magic = kMagic;
    header.pid = static_cast<std::uint32_t>(::getpid());
    header.tasks = static_cast<std::uint32_t>(tasks);
    header.boot_id = boot_id();
    free_.resize(tasks);
    // The first are taken first, so that few pages are ever touched.
    std::iota(free_.rbegin(), free_.rend(), 0U);
}

InFlightFile::~InFlightFile() {
    remove();
    ::munmap(memory_, bytes_);
}

void InFlightFile::remove() noexcept {
    const std::lock_guard held{mutex_};
    if (!path_.empty()) ::unlink(path_.c_str());
    path_.clear();
}

std::uint32_t InFlightFile::begin(std::string_view task_id, TimePoint now) noexcept {
    if (task_id.empty() || task_id.size() > kIdBytesMax) return kNone;
    std::uint32_t index = 0;
    Header& header = Memory::header(memory_);
    {
        const std::lock_guard held{mutex_};
        if (free_.empty()) return kNone;
        index = free_.back();
        free_.pop_back();
        if (index >= header.used.load()) header.used.store(index + 1);
    }
    Record& record = Memory::record(memory_, index);
    record.started = now.time_since_epoch().count();
    std::memcpy(record.id.data(), task_id.data(), task_id.size());
    record.length.store(static_cast<std::uint32_t>(task_id.size()), std::memory_order_release);
    return index;
}

void InFlightFile::end(std::uint32_t index) noexcept {
    if (index == kNone) return;
    Memory::record(memory_, index).length.store(0, std::memory_order_release);
    const std::lock_guard held{mutex_};
    free_.push_back(index);
}

InFlightMark::InFlightMark(std::shared_ptr<InFlightFile> file, std::string_view task_id,
                           TimePoint now)
    : file_{std::move(file)} {
    if (file_) record_ = file_->begin(task_id, now);
}

InFlightMark& InFlightMark::operator=(InFlightMark&& other) noexcept {
    if (this == &other) return *this;
    clear();
    file_ = std::move(other.file_);
    record_ = other.record_;
    return *this;
}

void InFlightMark::clear() noexcept {
    if (file_) file_->end(record_);
    file_.reset();
}

void DeadFile::remove() noexcept {
    ::unlink(path_.c_str());
}

std::vector<DeadFile> take_dead(const Place& place, TimePoint now) {
    std::vector<DeadFile> dead;
    std::error_code error;
    for (fs::directory_iterator entry{place.folder, error}, end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (!name.ends_with(kSuffix) && !name.ends_with(kNewSuffix)) continue;
        FileDescriptor file{
            ::open(entry->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
        // Locked: its worker lives, or another one reads it now.
        if (!file || !lock(file.get())) continue;
        struct stat found{};
        // Removed by whoever held the lock before us.
        if (::fstat(file.get(), &found) != 0 || found.st_nlink == 0) continue;
        const bool of_group = name.starts_with(place.group + "-") && name.ends_with(kSuffix);
        Header header{};
        const bool whole = read_at(file.get(), &header, sizeof header, 0) == sizeof header &&
                           header.magic == kMagic && header.tasks <= kTasksMax &&
                           header.used.load() <= header.tasks;
        if (!of_group) {
            if (forgotten(file.get(), now)) ::unlink(entry->path().c_str());
        } else if (!whole || header.boot_id != boot_id()) {
            ::unlink(entry->path().c_str());
        } else {
            DeadFile& taken = dead.emplace_back();
            taken.path_ = entry->path();
            taken.pid_ = header.pid;
            taken.started_ = read_records(file.get(), header.used.load());
            taken.file_ = std::move(file);
        }
    }
    return dead;
}

fs::path default_folder() {
    // Not below /run or /dev/shm: those are new when a container is started again, this is not.
    return fmt::format("/var/tmp/lovage-{}", ::geteuid());
}

std::string group_of(std::string_view broker_url, std::string_view result_url) {
    constexpr std::string_view kRelative = "sqlite:///";
    std::string text;
    for (const std::string_view url : {broker_url, result_url}) {
        const bool relative = url.starts_with(kRelative) && !url.starts_with("sqlite:////");
        if (relative)
            text += fs::absolute(url.substr(kRelative.size())).lexically_normal().string();
        text += log::mask_secrets(url) + '\n';
    }
    std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
    for (const char byte : text) {
        hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
    }
    return fmt::format("{:016x}", hash);
}

}  // namespace lovage::journal
