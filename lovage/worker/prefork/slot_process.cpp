#include <lovage/worker/prefork/slot_process.hpp>

#include <lovage/app/revoke_tasks.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/settings.hpp>
#include <lovage/worker/prefork/slot_start.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace lovage::slot {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLastWordsMax = 4096;
/// A line of standard error that does not end is shown in pieces of this size.
constexpr std::size_t kLineBytesMax = std::size_t{16} << 10U;
/// Sends and reads that a slot's tasks may have under way at a time.
constexpr std::size_t kCallsMax = 1024;
constexpr auto kLongestCall = std::chrono::hours{24};
constexpr auto kStopChannel = 1s;

struct Pair {
    FileDescriptor worker;
    FileDescriptor slot;
};

Result<Pair> stream_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return fail(Errc::unavailable, fmt::format("socketpair: {}", std::strerror(errno)));
    }
    return Pair{FileDescriptor{ends[0]}, FileDescriptor{ends[1]}};
}

Result<Pair> pipe_pair() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail(Errc::unavailable, fmt::format("pipe: {}", std::strerror(errno)));
    }
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return Pair{FileDescriptor{ends[0]}, FileDescriptor{ends[1]}};
}

/// The words this program was started with: a program that looks at them before it calls
/// lovage::main shall get there in a slot, too.
std::vector<std::string> own_arguments() {
    std::ifstream file{"/proc/self/cmdline", std::ios::binary};
    std::vector<std::string> words;
    for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
    return words;
}

std::vector<std::string> slot_environment() {
    std::vector<std::string> variables;
    for (const auto& [name, value] : process_environment()) {
        if (name != kVariable) variables.push_back(name + "=" + value);
    }
    variables.push_back(fmt::format("{}={}", kVariable, ::getpid()));
    return variables;
}

}  // namespace

/// The worker's ends of what joins it with a slot.
struct SlotProcess::Ends {
    FileDescriptor requests;
    FileDescriptor outcomes;
    FileDescriptor control;
    FileDescriptor errors;
    FileDescriptor end;
    FileDescriptor crash_page;
};

Result<std::shared_ptr<SlotProcess>> SlotProcess::start(AppCore& core, const Setup& setup,
                                                        Events events) {
    auto requests = stream_pair();
    auto outcomes = stream_pair();
    auto control = stream_pair();
    auto errors = pipe_pair();
    for (auto* pair : {&requests, &outcomes, &control, &errors}) {
        if (!*pair) return std::unexpected{std::move(pair->error())};
    }
    auto page = CrashMapping::create();
    if (!page) return std::unexpected{std::move(page.error())};
    FileDescriptor input{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    if (!input) {
        return fail(Errc::unavailable, fmt::format("/dev/null: {}", std::strerror(errno)));
    }
    ChildProcess::Options options;
    options.program = "/proc/self/exe";
    options.arguments = own_arguments();
    options.environment = slot_environment();
    options.descriptors = {{input.get(), STDIN_FILENO},
                           {errors->slot.get(), STDERR_FILENO},
                           {requests->slot.get(), kRequestStream},
                           {outcomes->slot.get(), kOutcomeStream},
                           {control->slot.get(), kControlStream},
                           {page->get(), kCrashPage}};
    auto process = ChildProcess::start(options);
    if (!process) return std::unexpected{std::move(process.error())};
    Ends ends{std::move(requests->worker),
              std::move(outcomes->worker),
              std::move(control->worker),
              std::move(errors->worker),
              FileDescriptor{::fcntl(process->descriptor(), F_DUPFD_CLOEXEC, 0)},
              std::move(*page)};
    if (!ends.end) {
        return fail(Errc::unavailable,
                    fmt::format("a pidfd cannot be copied: {}", std::strerror(errno)));
    }
    std::shared_ptr<SlotProcess> slot{
        new SlotProcess{core, std::move(*process), std::move(ends), std::move(events)}};
    if (slot->crash_page() == nullptr) {
        return fail(Errc::unavailable, "the memory shared with a slot cannot be mapped");
    }
    append(slot->tasks_.out(), setup);
    return slot;
}

SlotProcess::SlotProcess(AppCore& core, ChildProcess process, Ends ends, Events events)
    : core_{core},
      process_{std::move(process)},
      crash_page_{ends.crash_page.get()},
      events_{std::move(events)},
      tasks_{core.loop().executor(), std::move(ends.outcomes), std::move(ends.requests),
             [this](const FrameReader::Frame& frame) { return take_task_frame(frame); }},
      control_{core.loop().executor(), std::move(ends.control),
               [this](const FrameReader::Frame& frame) { return take_control_frame(frame); }},
      errors_{core.loop().executor(), ends.errors.release()},
      end_{core.loop().executor(), ends.end.release()},
      scope_{core.loop().executor()} {}

Awaitable<ExitStatus> SlotProcess::serve() {
    const auto self = shared_from_this();
    scope_.spawn("read outcomes", read_tasks());
    scope_.spawn("read calls", read_control());
    scope_.spawn("read standard error", read_errors());
    tasks_.flush(scope_);
    co_await watch_end();
    // What it said before its end is there, whether the readers got to it or not.
    if (auto drained = tasks_.drain(); !drained) events_.broken(drained.error());
    drain_errors();
    const ExitStatus status = process_.ended().value_or(ExitStatus{});
    tasks_.close();
    control_.close();
    boost::system::error_code ignored;
    errors_.close(ignored);  // NOLINT: cancels the reader
    scope_.request_stop();
    while (!co_await scope_.join(Deadline::in(kStopChannel))) {
    }
    co_return status;
}

Awaitable<void> SlotProcess::watch_end() {
    while (!process_.ended()) {
        const auto [error] = co_await end_.async_wait(asio::posix::stream_descriptor::wait_read,
                                                      asio::as_tuple(asio::use_awaitable));
        if (error) break;
    }
}

Awaitable<void> SlotProcess::read_tasks() {
    if (auto read = co_await tasks_.read(); !read) events_.broken(read.error());
}

Awaitable<void> SlotProcess::read_control() {
    if (auto read = co_await control_.read(); !read) events_.broken(read.error());
}

Result<void> SlotProcess::take_task_frame(const FrameReader::Frame& frame) {
    if (frame.kind == FrameKind::ready) {
        auto ready = read_ready(frame.payload);
        if (!ready) return std::unexpected{std::move(ready.error())};
        events_.ready(std::move(*ready));
        return {};
    }
    if (frame.kind == FrameKind::progress) {
        auto progress = read_progress(frame.payload);
        if (!progress) return std::unexpected{std::move(progress.error())};
        events_.progress(std::move(*progress));
        return {};
    }
    if (frame.kind == FrameKind::event) {
        auto event = read_event(frame.payload);
        if (!event) return std::unexpected{std::move(event.error())};
        events_.event(std::move(*event));
        return {};
    }
    if (frame.kind != FrameKind::outcome) {
        return fail(Errc::malformed, "a frame of the wrong kind on the outcome stream");
    }
    auto outcome = read_outcome(frame.payload);
    if (!outcome) return std::unexpected{std::move(outcome.error())};
    events_.outcome(std::move(*outcome));
    return {};
}

Result<void> SlotProcess::take_control_frame(const FrameReader::Frame& frame) {
    if (frame.kind != FrameKind::call) {
        return fail(Errc::malformed, "a frame of the wrong kind on the control stream");
    }
    auto call = read_call(frame.payload);
    if (!call) return std::unexpected{std::move(call.error())};
    if (calls_ >= kCallsMax) {
        Answer full;
        full.id = call->id;
        full.error = Error{Errc::unavailable, "too many sends and reads of one slot at a time"};
        if (append(control_.out(), full)) control_.flush(scope_);
        return {};
    }
    ++calls_;
    scope_.spawn("answer a slot", answer(shared_from_this(), std::move(*call)));
    return {};
}

Awaitable<void> SlotProcess::answer(std::shared_ptr<SlotProcess> self, Call call) {
    struct Count {
        ~Count() { --calls; }
        std::size_t& calls;
    };
    const Count count{self->calls_};
    const std::uint64_t id = call.id;
    Answer answer = co_await self->carry_out(std::move(call));
    answer.id = id;
    if (!append(self->control_.out(), answer)) {
        answer.meta.reset();
        answer.error = Error{Errc::too_large, "the result is too large for a slot"};
        (void)append(self->control_.out(), answer);
    }
    self->control_.flush(self->scope_);
}

Awaitable<Answer> SlotProcess::carry_out(Call call) {
    Client& client = core_.client();
    const Deadline deadline =
        Deadline::in(std::min<std::chrono::milliseconds>(call.timeout, kLongestCall));
    Answer answer;
    const auto note = [&answer](auto&& outcome) {
        if (!outcome) answer.error = std::move(outcome.error());
        return outcome.has_value();
    };
    switch (call.kind) {
        case Call::Kind::send:
            note(co_await client.send(std::move(call.send), deadline));
            break;
        case Call::Kind::start_chord:
            note(co_await client.start_chord(std::move(call.chord), deadline));
            break;
        case Call::Kind::end_chord:
            note(co_await client.end_chord(std::move(call.task_id), deadline));
            break;
        case Call::Kind::mark_sent:
            note(co_await client.mark_sent(std::move(call.task_id), deadline));
            break;
        case Call::Kind::save_group:
            note(co_await client.save_group(std::move(call.task_id), std::move(call.result),
                                            deadline));
            break;
        case Call::Kind::saved_group: {
            auto found = co_await client.saved_group(std::move(call.task_id), deadline);
            if (note(found) && *found) answer.meta = to_json_text(**found);
            break;
        }
        case Call::Kind::forget_group:
            note(co_await client.forget_group(std::move(call.task_id), deadline));
            break;
        case Call::Kind::result: {
            auto found = co_await client.result(std::move(call.task_id), deadline);
            if (note(found) && *found) answer.meta = (*found)->to_json();
            break;
        }
        case Call::Kind::wait: {
            auto ready = co_await client.wait(std::move(call.task_id), deadline);
            if (note(ready)) answer.meta = ready->to_json();
            break;
        }
        case Call::Kind::forget:
            note(co_await client.forget(std::move(call.task_id), deadline));
            break;
        case Call::Kind::is_known: {
            auto known = co_await client.is_known(std::move(call.task_id), deadline);
            if (note(known)) answer.flag = *known;
            break;
        }
        case Call::Kind::revoke:
            if (note(co_await client.revoke(call.task_id, call.revoke, deadline))) {
                co_await lovage::detail::tell_of_revoked(&core_, {std::move(call.task_id)},
                                                         call.revoke, deadline);
            }
            break;
    }
    co_return answer;
}

Awaitable<void> SlotProcess::read_errors() {
    while (errors_.is_open()) {
        const auto [error] = co_await errors_.async_wait(asio::posix::stream_descriptor::wait_read,
                                                         asio::as_tuple(asio::use_awaitable));
        if (error || !errors_.is_open()) co_return;
        std::array<char, 4096> buffer;
        const ssize_t got = ::read(errors_.native_handle(), buffer.data(), buffer.size());
        if (got == 0) co_return;
        if (got > 0) take_errors({buffer.data(), static_cast<std::size_t>(got)});
    }
}

void SlotProcess::drain_errors() {
    // At most what a pipe holds: programs its tasks have started may go on writing.
    std::array<char, 4096> buffer;
    for (int i = 0; i < 16 && errors_.is_open(); ++i) {
        const ssize_t got = ::read(errors_.native_handle(), buffer.data(), buffer.size());
        if (got <= 0) break;
        take_errors({buffer.data(), static_cast<std::size_t>(got)});
    }
    if (!line_.empty()) log::forward(line_ + "\n");
    line_.clear();
}

void SlotProcess::take_errors(std::string_view bytes) {
    last_words_.append(bytes);
    if (last_words_.size() > kLastWordsMax) {
        last_words_.erase(0, last_words_.size() - kLastWordsMax);
    }
    line_.append(bytes);
    const std::size_t end = line_.rfind('\n');
    if (end != std::string::npos) {
        log::forward(std::string_view{line_}.substr(0, end + 1));
        line_.erase(0, end + 1);
    } else if (line_.size() > kLineBytesMax) {
        log::forward(line_ + "\n");
        line_.clear();
    }
}

std::uint64_t SlotProcess::resident_bytes() const {
    std::ifstream file{fmt::format("/proc/{}/statm", pid())};
    std::uint64_t all = 0;
    std::uint64_t resident = 0;
    if (!(file >> all >> resident)) return 0;
    static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return resident * page_bytes;
}

bool SlotProcess::give(std::uint64_t sequence, const TaskRequest& request) {
    const TaskMessage& message = request.message;
    if (!append(tasks_.out(), sequence, request.context->request(), message.args, message.kwargs)) {
        return false;
    }
    claims().give(sequence);
    return true;
}

void SlotProcess::catch_up() {
    if (auto read = tasks_.catch_up(); !read) events_.broken(read.error());
}

void SlotProcess::interrupt(const Interrupt& message) {
    append(control_.out(), message);
    control_.flush(scope_);
}

void SlotProcess::quit() {
    append_quit(tasks_.out());
    tasks_.flush(scope_);
}

}  // namespace lovage::slot
