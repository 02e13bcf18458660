#include "task_ledger.hpp"

#include <lovage/core/error.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ostream>
#include <set>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace lovage::testing_support {

/// The file: this header, three columns with one byte a task (how its send ended, how often it
/// started, how often it had its effect), the trace.
struct TaskLedger::Header {
    static constexpr std::uint64_t kMagic = 0x3452474c4b534154;  // "TASKLGR4"
    std::uint64_t magic;
    std::uint32_t tasks;
    std::uint32_t waiters;  ///< Processes in wait_until().
    std::uint32_t notes;    ///< Counts every note; the futex they wait on.
    std::uint32_t taken;    ///< Tasks given to producers by take_next().
    std::uint32_t offered;  ///< It gives those below.
    std::uint32_t reserved;
    std::uint64_t trace_capacity;
    std::uint64_t traced;                 ///< Entries asked for, those without room included.
    std::array<std::uint64_t, 7> totals;  ///< Notes by event.
    std::uint64_t done;                   ///< Tasks with an effect.
};

struct TaskLedger::TraceEntry {
    std::uint32_t task;
    std::uint32_t pid_and_event;  ///< Linux's pids have 22 bits.
    std::uint32_t worker;
    std::uint32_t reserved;
    std::int64_t nanoseconds;  ///< 0: not written (yet).
};

namespace {

constexpr std::size_t kColumns = 3;
enum Column : std::size_t { kOutcome, kStarted, kEffects };
constexpr unsigned kEventShift = 24;

template <class T>
std::atomic_ref<T> shared(T& value) {
    static_assert(std::atomic_ref<T>::is_always_lock_free, "processes cannot share a lock");
    return std::atomic_ref<T>{value};
}

std::size_t trace_offset(std::size_t header_bytes, std::uint32_t tasks) {
    const std::size_t bytes = header_bytes + kColumns * tasks;
    return (bytes + 63) / 64 * 64;
}

/// How a send stands in its column; 0: nobody has sent it.
std::uint8_t outcome_of(TaskLedger::Event event) {
    return static_cast<std::uint8_t>(event) + 1;
}

/// Adds one, up to 255. Returns the count before.
std::uint8_t count_up(std::uint8_t& counter) {
    auto value = shared(counter).load();
    while (value != 255 && !shared(counter).compare_exchange_weak(value, value + 1)) {
    }
    return value;
}

/// What was known of a task that started more than once, up to one of its starts.
struct Before {
    TaskLedger::Clock::time_point first_word;
    std::set<pid_t> involved;
    unsigned sent = 0;
};

/// Whether a fault can be the cause of a start at `time`.
bool explains(const TaskLedger::Fault& fault, const Before& before,
              TaskLedger::Clock::time_point time) {
    if (fault.begin > time || fault.end < before.first_word) return false;
    if (fault.only_resent && before.sent < 2) return false;
    return fault.processes.empty() || std::ranges::any_of(fault.processes, [&](pid_t process) {
               return before.involved.contains(process);
           });
}

/// Between processes, which std::atomic's wait() cannot do.
void futex_wake_all(std::uint32_t& word) {
    syscall(SYS_futex, &word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}
void futex_wait(std::uint32_t& word, std::uint32_t seen, std::chrono::nanoseconds longest) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(longest);
    const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (longest - seconds).count()};
    syscall(SYS_futex, &word, FUTEX_WAIT, seen, &timeout, nullptr, 0);
}

std::string some_of(const char* what, const std::vector<std::uint32_t>& tasks) {
    const std::span shown{tasks.data(), std::min<std::size_t>(tasks.size(), 10)};
    if (tasks.empty()) return fmt::format(", 0 {}", what);
    return fmt::format(", {} {} ({}{})", tasks.size(), what, fmt::join(shown, " "),
                       shown.size() < tasks.size() ? " …" : "");
}

}  // namespace

TaskLedger TaskLedger::create(const std::filesystem::path& file, std::uint32_t tasks,
                              std::uint64_t trace) {
    const std::size_t bytes = trace_offset(sizeof(Header), tasks) + trace * sizeof(TraceEntry);
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0 || ftruncate(descriptor, static_cast<off_t>(bytes)) != 0) {
        throw std::system_error{errno, std::system_category(), file.string()};
    }
    TaskLedger ledger{file, descriptor, bytes};
    ledger.header_->tasks = tasks;
    ledger.header_->offered = tasks;
    ledger.header_->trace_capacity = trace;
    shared(ledger.header_->magic).store(Header::kMagic);
    return ledger;
}

TaskLedger TaskLedger::open(const std::filesystem::path& file) {
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    struct stat found{};
    if (descriptor < 0 || fstat(descriptor, &found) != 0) {
        throw std::system_error{errno, std::system_category(), file.string()};
    }
    const auto bytes = static_cast<std::size_t>(found.st_size);
    if (bytes < sizeof(Header)) throw std::runtime_error{file.string() + " is no ledger"};
    TaskLedger ledger{file, descriptor, bytes};
    if (shared(ledger.header_->magic).load() != Header::kMagic) {
        throw std::runtime_error{file.string() + " is no ledger"};
    }
    return ledger;
}

TaskLedger::TaskLedger(const std::filesystem::path& file, int descriptor, std::size_t bytes)
    : bytes_{bytes} {
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    const int error = errno;
    ::close(descriptor);
    if (memory == MAP_FAILED) throw std::system_error{error, std::system_category(), file.string()};
    header_ = static_cast<Header*>(memory);
}

TaskLedger::TaskLedger(TaskLedger&& other) noexcept
    : header_{std::exchange(other.header_, nullptr)},
      bytes_{other.bytes_},
      worker_{other.worker_} {}

TaskLedger& TaskLedger::operator=(TaskLedger&& other) noexcept {
    std::swap(header_, other.header_);
    std::swap(bytes_, other.bytes_);
    std::swap(worker_, other.worker_);
    return *this;
}

TaskLedger::~TaskLedger() {
    if (header_ != nullptr) munmap(header_, bytes_);
}

std::uint8_t* TaskLedger::column(std::size_t number) const noexcept {
    return reinterpret_cast<std::uint8_t*>(header_ + 1) + number * header_->tasks;
}

TaskLedger::TraceEntry* TaskLedger::trace_begin() const noexcept {
    return reinterpret_cast<TraceEntry*>(reinterpret_cast<char*>(header_) +
                                         trace_offset(sizeof(Header), header_->tasks));
}

void TaskLedger::note(Event event, std::uint32_t task) noexcept {
    LOVAGE_ASSERT(task < header_->tasks);
    const auto position = shared(header_->traced).fetch_add(1);
    if (position < header_->trace_capacity) {
        TraceEntry& entry = trace_begin()[position];
        const pid_t own = getpid();
        entry.task = task;
        entry.pid_and_event =
            static_cast<std::uint32_t>(own) | (static_cast<std::uint32_t>(event) << kEventShift);
        entry.worker = static_cast<std::uint32_t>(worker_ != 0 ? worker_ : own);
        shared(entry.nanoseconds).store(Clock::now().time_since_epoch().count());
    }
    shared(header_->totals.at(static_cast<std::size_t>(event))).fetch_add(1);
    auto outcome = shared(column(kOutcome)[task]);
    switch (event) {
        case Event::sending: {
            std::uint8_t nobody = 0;
            outcome.compare_exchange_strong(nobody, outcome_of(event));
            break;
        }
        case Event::accepted:
            outcome = outcome_of(event);
            break;
        case Event::rejected:
        case Event::unknown:
            if (outcome != outcome_of(Event::accepted)) outcome = outcome_of(event);
            break;
        case Event::started:
            count_up(column(kStarted)[task]);
            break;
        case Event::effect:
            if (count_up(column(kEffects)[task]) == 0) shared(header_->done).fetch_add(1);
            break;
        case Event::step:
            break;
    }
    shared(header_->notes).fetch_add(1);
    if (shared(header_->waiters).load() != 0) futex_wake_all(header_->notes);
}

std::optional<std::uint32_t> TaskLedger::take_next() noexcept {
    // Past the end it stays: there are far fewer callers than numbers.
    const std::uint32_t next = shared(header_->taken).fetch_add(1);
    const std::uint32_t offered = shared(header_->offered);
    if (next < offered) return next;
    shared(header_->taken) = offered;
    return std::nullopt;
}

void TaskLedger::offer(std::uint32_t tasks) noexcept {
    shared(header_->offered) = std::min(tasks, shared(header_->offered).load());
}

std::uint32_t TaskLedger::taken() const noexcept {
    return std::min(shared(header_->taken).load(), shared(header_->offered).load());
}

bool TaskLedger::all_taken() const noexcept {
    return shared(header_->taken).load() >= shared(header_->offered).load();
}

std::uint32_t TaskLedger::tasks() const noexcept {
    return header_->tasks;
}

bool TaskLedger::accepted(std::uint32_t task) const noexcept {
    return shared(column(kOutcome)[task]) == outcome_of(Event::accepted);
}

unsigned TaskLedger::started(std::uint32_t task) const noexcept {
    return shared(column(kStarted)[task]);
}

unsigned TaskLedger::effects(std::uint32_t task) const noexcept {
    return shared(column(kEffects)[task]);
}

std::uint64_t TaskLedger::total(Event event) const noexcept {
    return shared(header_->totals.at(static_cast<std::size_t>(event)));
}

std::uint64_t TaskLedger::done() const noexcept {
    return shared(header_->done);
}

bool TaskLedger::wait_until(const std::function<bool()>& condition, Deadline deadline) const {
    shared(header_->waiters).fetch_add(1);
    bool met = false;
    while (true) {
        const auto seen = shared(header_->notes).load();
        met = condition();
        if (met || deadline.passed()) break;
        futex_wait(header_->notes, seen, deadline.remaining());
    }
    shared(header_->waiters).fetch_sub(1);
    return met;
}

bool TaskLedger::wait_for_effects(Deadline deadline) const {
    // Tasks before `done` are; each is looked at until it is, then never again.
    std::uint32_t done = 0;
    return wait_until(
        [&] {
            while (done < tasks() && (!accepted(done) || effects(done) > 0)) ++done;
            return done == tasks();
        },
        deadline);
}

std::vector<TaskLedger::Entry> TaskLedger::trace() const {
    std::vector<Entry> entries;
    const auto count = std::min(shared(header_->traced).load(), header_->trace_capacity);
    for (std::uint64_t position = 0; position < count; ++position) {
        TraceEntry& entry = trace_begin()[position];
        const auto nanoseconds = shared(entry.nanoseconds).load();
        // Its writer was killed between taking the place and filling it.
        if (nanoseconds == 0) continue;
        entries.push_back(
            {.task = entry.task,
             .event = static_cast<Event>(entry.pid_and_event >> kEventShift),
             .pid = static_cast<pid_t>(entry.pid_and_event & ((1U << kEventShift) - 1)),
             .worker = static_cast<pid_t>(entry.worker),
             .time = Clock::time_point{Clock::duration{nanoseconds}}});
    }
    return entries;
}

std::map<std::uint32_t, std::string> TaskLedger::stories(
    std::span<const std::uint32_t> tasks) const {
    static constexpr std::array<std::string_view, 7> kWords{
        "sending", "accepted", "rejected", "unknown", "started", "effect", "step"};
    const std::set<std::uint32_t> wanted(tasks.begin(), tasks.end());
    const auto entries = trace();
    std::map<std::uint32_t, std::string> found;
    for (const Entry& entry : entries) {
        if (!wanted.contains(entry.task)) continue;
        const std::chrono::duration<double> time = entry.time - entries.front().time;
        found[entry.task] +=
            fmt::format(" {:.3f} s {} by {} of {};", time.count(),
                        kWords.at(static_cast<std::size_t>(entry.event)), entry.pid, entry.worker);
    }
    return found;
}

TaskLedger::Report TaskLedger::check(std::span<const Fault> faults) const {
    Report report;
    const auto traced = shared(header_->traced).load();
    report.untraced = traced - std::min(traced, header_->trace_capacity);
    for (std::uint32_t task = 0; task < tasks(); ++task) {
        const auto outcome = shared(column(kOutcome)[task]).load();
        const bool ran = started(task) > 0;
        const bool certain = outcome == 0 || outcome == outcome_of(Event::rejected);
        report.attempted += outcome != 0 ? 1 : 0;
        report.rejected += outcome == outcome_of(Event::rejected) ? 1 : 0;
        report.accepted += accepted(task) ? 1 : 0;
        report.unknown += !certain && !accepted(task) ? 1 : 0;
        report.recovered += !certain && !accepted(task) && ran ? 1 : 0;
        report.ran += ran ? 1 : 0;
        if (certain && ran) report.ghosts.push_back(task);
        if (accepted(task) && effects(task) == 0) report.lost.push_back(task);
        if (started(task) > 1) report.repeats.push_back(task);
    }

    struct Starts {
        Before before;
        unsigned explained = 0;
        bool started = false;
    };
    std::map<std::uint32_t, Starts> repeated;
    for (const std::uint32_t task : report.repeats) repeated[task];
    for (const Entry& entry : trace()) {
        const auto found = repeated.find(entry.task);
        if (found == repeated.end()) continue;
        Starts& starts = found->second;
        Before& before = starts.before;
        if (before.first_word == Clock::time_point{}) before.first_word = entry.time;
        before.involved.insert({entry.pid, entry.worker});
        before.sent += entry.event == Event::sending ? 1 : 0;
        if (entry.event != Event::started) continue;
        const bool explained = std::ranges::any_of(
            faults, [&](const Fault& fault) { return explains(fault, before, entry.time); });
        if (explained || !starts.started) ++starts.explained;
        starts.started = true;
    }
    for (const auto& [task, starts] : repeated) {
        if (starts.explained < started(task)) report.unexplained.push_back(task);
    }
    return report;
}

bool TaskLedger::Report::holds() const noexcept {
    return lost.empty() && ghosts.empty() && unexplained.empty();
}

std::string TaskLedger::Report::describe() const {
    return fmt::format("{} attempted, {} accepted, {} rejected, {} unknown, {} ran, {} recovered",
                       attempted, accepted, rejected, unknown, ran, recovered) +
           some_of("lost", lost) + some_of("unexpected", ghosts) +
           some_of("run more than once", repeats) +
           some_of("of them without a fault", unexplained) +
           (untraced > 0 ? fmt::format(", {} not traced", untraced) : "");
}

std::ostream& operator<<(std::ostream& out, const TaskLedger::Report& report) {
    return out << report.describe();
}

}  // namespace lovage::testing_support
