#include <lovage/worker/prefork/slot_main.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/core/task_error.hpp>
#include <lovage/runtime/failpoint.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/prefork/crash_page.hpp>
#include <lovage/worker/prefork/registry_check.hpp>
#include <lovage/worker/prefork/slot_client.hpp>
#include <lovage/worker/prefork/slot_protocol.hpp>
#include <lovage/worker/prefork/slot_start.hpp>

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <utility>

#include <malloc.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

namespace lovage::slot {

namespace {

/// The streams of requests and outcomes, read and written by the thread that runs the tasks. Both
/// wait: a worker that does not read is stopped, and one that is gone ends this process.
class TaskStreams {
public:
    /// The next frame; valid until the next call.
    FrameReader::Frame receive() {
        while (true) {
            auto frame = reader_.next();
            if (!frame) give_up();
            if (*frame) return **frame;
            fill();
        }
    }

    /// Also called by threads a task has started, to report progress.
    void send(std::string_view frames) {
        const std::lock_guard lock{sending_};
        while (!frames.empty()) {
            const ssize_t sent = ::send(kOutcomeStream, frames.data(), frames.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent < 0) give_up();
            frames.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

private:
    void fill() {
        const ssize_t got = ::recv(kRequestStream, buffer_.data(), buffer_.size(), 0);
        if (got > 0) {
            reader_.feed({buffer_.data(), static_cast<std::size_t>(got)});
        } else if (got == 0 || errno != EINTR) {
            give_up();
        }
    }

    /// Nobody is there who could want anything.
    [[noreturn]] static void give_up() { ::_exit(0); }

    std::mutex sending_;
    FrameReader reader_;
    std::array<char, std::size_t{64} << 10U> buffer_;
};

/// The events of one attempt, on their way to the worker, which sends them.
class EventRelay final : public TaskContext::EventSink {
public:
    EventRelay(TaskStreams& streams, std::uint64_t sequence)
        : streams_{streams}, sequence_{sequence} {}

    void send(const std::string& /*task_id*/, std::string type, Json fields) override {
        std::string frames;
        if (!append(frames, Event{sequence_, std::move(type), std::move(fields)})) {
            throw std::length_error{"send_event(): it is too large"};
        }
        streams_.send(frames);
    }

private:
    TaskStreams& streams_;
    std::uint64_t sequence_;
};

/// Which attempt runs, for the loop's thread, where interruptions arrive.
class Running {
public:
    void begin(std::uint64_t sequence, std::shared_ptr<TaskContext> context) {
        const std::lock_guard lock{mutex_};
        sequence_ = sequence;
        context_ = std::move(context);
        // It may have come before its request was read.
        if (interrupted_.sequence == sequence_) context_->request_stop(interrupted_.reason);
    }
    void end() {
        const std::lock_guard lock{mutex_};
        context_ = nullptr;
    }
    void interrupt(const Interrupt& message) {
        const std::lock_guard lock{mutex_};
        interrupted_ = message;
        if (context_ && sequence_ == message.sequence) context_->request_stop(message.reason);
    }

private:
    std::mutex mutex_;
    std::uint64_t sequence_ = 0;
    Interrupt interrupted_;
    std::shared_ptr<TaskContext> context_;
};

void do_nothing(int /*signal*/) {}

/// A terminal's Ctrl-C and a service manager's SIGTERM reach slots too; what they mean is for the
/// worker to decide. Handlers, since programs that tasks start would inherit "ignore".
void leave_signals_to_the_worker() {
    struct sigaction action{};
    action.sa_handler = do_nothing;
    action.sa_flags = SA_RESTART;
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGQUIT, SIGHUP}) {
        ::sigaction(signal, &action, nullptr);
        sigaddset(&signals, signal);
    }
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

void set_up_log(const App& app, const LogStyle& style) {
    log::Options options;
    options.level = static_cast<log::Level>(style.level);
    options.format = static_cast<log::Format>(style.format);
    options.service_name = app.name();
    options.color = style.color;
    options.terminal = style.terminal;
    options.background = false;  // the worker reads all the time
    log::configure(options);
}

/// What the worker was set to. Throws LovageError when the app is in use already.
void configure(App& app, const Setup& setup) {
    SettingsSources sources;
    for (const auto& [name, value] : setup.settings) {
        sources.flags.push_back({name, value, "the worker's setting"});
    }
    app.configure(value_or_throw(resolve_settings(sources)).settings);
}

/// The program's own code; false when one of them throws, which is logged.
bool call_hooks(std::string_view name, const std::vector<std::function<void()>>& hooks) {
    try {
        for (const auto& hook : hooks) hook();
        return true;
    } catch (...) {
        const TaskFailure failure = failure_from_exception(std::current_exception(), "");
        log::error("worker", "a hook ({}) failed: {}: {}", name, failure.exc_type,
                   failure.exc_message);
        return false;
    }
}

/// One slot's life.
class SlotServer {
public:
    explicit SlotServer(App& app) : app_{app} {}

    int run() {
        if (auto refusal = set_up(); !refusal.empty()) {
            Ready ready{registry_hash(app_.tasks()), std::move(refusal), {}};
            ready.tasks = signatures(app_.tasks());
            say(ready);
            return EXIT_FAILURE;
        }
        install_crash_handler(*crash_mapping_.get());
        SlotClient& client = start_client();
        const bool started = call_hooks("on_slot_start", app_.core()->worker_hooks().slot_start);
        if (started) {
            say(Ready{registry_hash(app_.tasks()), "", {}});
            serve();
            call_hooks("on_slot_stop", app_.core()->worker_hooks().slot_stop);
        }
        app_.core()->loop().run_blocking(client.stop());
        return started ? EXIT_SUCCESS : EXIT_FAILURE;
    }

private:
    /// Why this process cannot serve; empty: it can.
    std::string set_up() {
        if (crash_mapping_.get() == nullptr) return "the memory it shares cannot be mapped";
        const FrameReader::Frame first = streams_.receive();
        auto setup = read_setup(first.payload);
        if (first.kind != FrameKind::setup || !setup) return "its setup could not be read";
        ::pthread_setname_np(::pthread_self(), fmt::format("slot-{}", setup->index).c_str());
        set_up_log(app_, setup->log);
        try {
            configure(app_, *setup);
        } catch (const LovageError& problem) {
            return problem.what();
        }
        if (setup->registry_hash != registry_hash(app_.tasks())) return "its tasks are others";
        return {};
    }

    SlotClient& start_client() {
        AppCore& core = *app_.core();
        auto client = std::make_unique<SlotClient>(
            core.loop().executor(), FileDescriptor{kControlStream},
            [this](const Interrupt& interrupt) { running_.interrupt(interrupt); });
        SlotClient& started = *client;
        core.use_client(std::move(client));
        core.loop().call([&started] { started.start(); });
        return started;
    }

    void say(const Ready& ready) {
        std::string frames;
        append(frames, ready);
        streams_.send(frames);
    }

    void serve() {
        while (true) {
            const FrameReader::Frame frame = streams_.receive();
            if (frame.kind == FrameKind::quit) return;
            auto request = read_request(frame.payload);
            if (frame.kind != FrameKind::request || !request) ::_exit(EXIT_FAILURE);
            if (may_begin(request->sequence)) run(std::move(*request));
        }
    }

    bool may_begin(std::uint64_t sequence) {
        const Claims::Answer answer = crash_mapping_.get()->claims.begin(sequence);
        // A task has written over it: what it was given is for another slot.
        if (answer == Claims::Answer::nonsense) ::_exit(EXIT_FAILURE);
        return answer == Claims::Answer::begin;
    }

    void run(Request message) {
        TaskRequest request;
        request.definition = app_.tasks().find(message.context.task);
        if (request.definition == nullptr) ::_exit(EXIT_FAILURE);
        request.message.args = Json::raw(std::move(message.args));
        request.message.kwargs = Json::raw(std::move(message.kwargs));
        request.message.retries = message.context.retries;
        message.context.retry_policy = request.definition->options.retry;
        request.context = std::make_shared<TaskContext>(std::move(message.context));
        request.hooks = &app_.core()->task_hooks();
        request.context->on_update(
            [this, sequence = message.sequence](std::string state, Json meta) {
                report({sequence, std::move(state), std::move(meta)});
            });
        request.context->send_events_to(std::make_shared<EventRelay>(streams_, message.sequence));
        running_.begin(message.sequence, request.context);
        if (failpoint::fails(failpoint::Point::slot_before_task)) ::_exit(EXIT_FAILURE);
        Outcome outcome{message.sequence, run_task(request), {}};
        running_.end();
        if (failpoint::fails(failpoint::Point::slot_after_task)) ::_exit(EXIT_FAILURE);
        outcome.children = request.context->children();
        std::fflush(stdout);  // a slot may be killed at any time
        answer(outcome);
    }

    /// On whatever thread of the task's.
    void report(const Progress& progress) {
        std::string frames;
        if (!append(frames, progress)) throw std::length_error{"update_state(): it is too large"};
        streams_.send(frames);
    }

    void answer(Outcome& outcome) {
        outgoing_.clear();
        if (!append(outgoing_, outcome)) {
            TaskOutcome failed;
            failed.ending = Ending::failed;
            failed.failure =
                TaskFailure{"EncodeError", "the result is too large", "kombu.exceptions", ""};
            failed.started = outcome.outcome.started;
            failed.ended = outcome.outcome.ended;
            outcome.outcome = std::move(failed);
            if (!append(outgoing_, outcome)) ::_exit(EXIT_FAILURE);
        }
        streams_.send(outgoing_);
        constexpr std::size_t kKeptBytesMax = std::size_t{256} << 10U;
        if (outgoing_.capacity() > kKeptBytesMax) outgoing_ = {};
    }

    App& app_;
    const CrashMapping crash_mapping_{kCrashPage};
    TaskStreams streams_;
    Running running_;
    std::string outgoing_;
};

}  // namespace

int run_slot(App& app) {
    leave_signals_to_the_worker();
    // One heap is enough for one task at a time; others would each keep what they once grew to.
    ::mallopt(M_ARENA_MAX, 1);
    auto server = std::make_unique<SlotServer>(app);
    const int code = server->run();
    log::flush();
    return code;
}

}  // namespace lovage::slot
