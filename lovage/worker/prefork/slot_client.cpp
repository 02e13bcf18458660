#include <lovage/worker/prefork/slot_client.hpp>

#include <chrono>
#include <utility>

namespace lovage::slot {

namespace {

using namespace std::chrono_literals;

/// The worker keeps the deadline; its answer is given this time to get here.
constexpr auto kAnswerMargin = 5s;
constexpr auto kStop = 1s;

Call about(Call::Kind kind, std::string task_id) {
    Call call;
    call.kind = kind;
    call.task_id = std::move(task_id);
    return call;
}

}  // namespace

SlotClient::SlotClient(const Executor& executor, FileDescriptor control,
                       std::function<void(const Interrupt&)> interrupted)
    : channel_{executor, std::move(control),
               [this](const FrameReader::Frame& frame) { return take(frame); }},
      interrupted_{std::move(interrupted)},
      answered_{executor},
      scope_{executor} {}

SlotClient::~SlotClient() = default;

void SlotClient::start() {
    scope_.spawn("read the control stream", read());
}

Awaitable<void> SlotClient::stop() {
    channel_.close();
    scope_.request_stop();
    while (!co_await scope_.join(Deadline::in(kStop))) {
    }
}

Awaitable<void> SlotClient::read() {
    (void)co_await channel_.read();
    lost_ = true;  // the process ends with the worker
    answered_.notify_all();
}

Result<void> SlotClient::take(const FrameReader::Frame& frame) {
    if (frame.kind == FrameKind::interrupt) {
        auto interrupt = read_interrupt(frame.payload);
        if (!interrupt) return std::unexpected{std::move(interrupt.error())};
        interrupted_(*interrupt);
        return {};
    }
    if (frame.kind != FrameKind::answer) {
        return fail(Errc::malformed, "a frame of the wrong kind on the control stream");
    }
    auto answer = read_answer(frame.payload);
    if (!answer) return std::unexpected{std::move(answer.error())};
    const auto asked = waiting_.find(answer->id);
    if (asked == waiting_.end()) return {};  // its asker has given up
    asked->second = std::move(*answer);
    answered_.notify_all();
    return {};
}

Awaitable<Result<Answer>> SlotClient::ask(Call call, Deadline deadline) {
    const bool sends = call.kind == Call::Kind::send;
    call.id = next_id_++;
    call.timeout = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
    if (!append(channel_.out(), call)) {
        co_return fail(Errc::too_large, "the message is too large");
    }
    const auto place = waiting_.emplace(call.id, std::nullopt).first;
    struct Forget {
        ~Forget() { waiting.erase(place); }
        std::map<std::uint64_t, std::optional<Answer>>& waiting;
        std::map<std::uint64_t, std::optional<Answer>>::iterator place;
    };
    const Forget forget{waiting_, place};
    channel_.flush(scope_);
    const Deadline patience = Deadline::at(deadline.time() + kAnswerMargin);
    while (!place->second && !lost_) {
        if (co_await answered_.wait(patience)) continue;
        if (place->second) break;
        co_return fail(sends ? Errc::unknown_outcome : Errc::deadline_exceeded,
                       "the worker did not answer its slot");
    }
    if (!place->second) {
        co_return fail(sends ? Errc::unknown_outcome : Errc::disconnected, "the worker is gone");
    }
    Answer answer = std::move(*place->second);
    if (answer.error) co_return std::unexpected{std::move(*answer.error)};
    co_return answer;
}

Awaitable<Result<void>> SlotClient::tell(Call call, Deadline deadline) {
    auto answer = co_await ask(std::move(call), deadline);
    if (!answer) co_return std::unexpected{std::move(answer.error())};
    co_return Result<void>{};
}

Awaitable<Result<void>> SlotClient::send(TaskSend task, Deadline deadline) {
    Call call;
    call.kind = Call::Kind::send;
    call.send = std::move(task);
    return tell(std::move(call), deadline);
}

Awaitable<Result<void>> SlotClient::start_chord(ChordStart chord, Deadline deadline) {
    Call call;
    call.kind = Call::Kind::start_chord;
    call.chord = std::move(chord);
    return tell(std::move(call), deadline);
}

Awaitable<Result<void>> SlotClient::end_chord(std::string group_id, Deadline deadline) {
    return tell(about(Call::Kind::end_chord, std::move(group_id)), deadline);
}

Awaitable<Result<void>> SlotClient::mark_sent(std::string task_id, Deadline deadline) {
    return tell(about(Call::Kind::mark_sent, std::move(task_id)), deadline);
}

Awaitable<Result<void>> SlotClient::save_group(std::string group_id, Json result,
                                               Deadline deadline) {
    Call call = about(Call::Kind::save_group, std::move(group_id));
    call.result = std::move(result);
    return tell(std::move(call), deadline);
}

Awaitable<Result<std::optional<Json>>> SlotClient::saved_group(std::string group_id,
                                                               Deadline deadline) {
    auto answer = co_await ask(about(Call::Kind::saved_group, std::move(group_id)), deadline);
    if (!answer) co_return std::unexpected{std::move(answer.error())};
    if (!answer->meta) co_return std::nullopt;
    auto result = parse_json(*answer->meta, {.bytes = answer->meta->size()});
    if (!result) co_return std::unexpected{std::move(result.error())};
    co_return std::move(*result);
}

Awaitable<Result<void>> SlotClient::forget_group(std::string group_id, Deadline deadline) {
    return tell(about(Call::Kind::forget_group, std::move(group_id)), deadline);
}

Awaitable<Result<std::optional<TaskMeta>>> SlotClient::result(std::string task_id,
                                                              Deadline deadline) {
    auto answer = co_await ask(about(Call::Kind::result, std::move(task_id)), deadline);
    if (!answer) co_return std::unexpected{std::move(answer.error())};
    if (!answer->meta) co_return std::nullopt;
    auto meta = TaskMeta::from_json(*answer->meta);
    if (!meta) co_return std::unexpected{std::move(meta.error())};
    co_return std::move(*meta);
}

Awaitable<Result<TaskMeta>> SlotClient::wait(std::string task_id, Deadline deadline) {
    auto answer = co_await ask(about(Call::Kind::wait, std::move(task_id)), deadline);
    if (!answer) co_return std::unexpected{std::move(answer.error())};
    co_return TaskMeta::from_json(answer->meta.value_or(""));
}

Awaitable<Result<void>> SlotClient::forget(std::string task_id, Deadline deadline) {
    return tell(about(Call::Kind::forget, std::move(task_id)), deadline);
}

Awaitable<Result<bool>> SlotClient::is_known(std::string task_id, Deadline deadline) {
    auto answer = co_await ask(about(Call::Kind::is_known, std::move(task_id)), deadline);
    if (!answer) co_return std::unexpected{std::move(answer.error())};
    co_return answer->flag;
}

Awaitable<Result<void>> SlotClient::revoke(std::string task_id, RevokeOptions options,
                                           Deadline deadline) {
    Call call = about(Call::Kind::revoke, std::move(task_id));
    call.revoke = options;
    return tell(std::move(call), deadline);
}

}  // namespace lovage::slot
