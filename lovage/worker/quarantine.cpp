#include <lovage/worker/quarantine.hpp>

#include <lovage/app/queues.hpp>
#include <lovage/worker/crash_count.hpp>

#include <array>
#include <chrono>
#include <memory>

namespace lovage {

namespace {

constexpr std::string_view kReason = "x-lovage-reason";
constexpr std::string_view kDetail = "x-lovage-detail";
constexpr std::string_view kQueue = "x-lovage-queue";
constexpr std::string_view kWorker = "x-lovage-worker";
constexpr std::string_view kTime = "x-lovage-time";
constexpr std::string_view kExpiration =
    "x-lovage-expiration";  // ms, so that a replay has it again

constexpr std::string_view kCause = "x-lovage-cause";
constexpr std::string_view kFaultAddress = "x-lovage-fault-address";
constexpr std::string_view kBacktrace = "x-lovage-backtrace";
constexpr std::string_view kStderr = "x-lovage-stderr";
constexpr std::string_view kHeaders = "x-lovage-headers";  // what was in their place, when no map

Json header_object(const Message& message) {
    auto headers = message.headers.expanded();
    if (headers && headers->is_object()) return std::move(*headers);
    return Json::object({{std::string{kHeaders}, to_json_text(message.headers)}});
}

std::string text_of(const Json& headers, std::string_view name) {
    const Json* value = headers.find(name);
    return value != nullptr && value->is_string() ? value->as_string() : std::string{};
}

/// What header_object() kept. Others may use the name as well: their text is JSON of a map, or
/// none.
std::optional<Json> headers_that_were_no_map(const Json& headers) {
    auto kept = parse_json_shallow(text_of(headers, kHeaders), 1);
    if (!kept || kept->is_object()) return std::nullopt;
    return *std::move(kept);
}

}  // namespace

Publication to_quarantine(const Message& message, const QuarantineNote& note) {
    Publication publication;
    publication.routing_key = quarantine_queue(note.queue);
    publication.any_size = true;
    publication.message = message;
    Json headers = header_object(message);
    headers.set(kReason, note.reason);
    headers.set(kDetail, note.detail);
    headers.set(kQueue, note.queue);
    headers.set(kWorker, note.worker);
    headers.set(kTime, to_iso8601(note.time));
    if (note.crash) {
        headers.set(kCause, note.crash->cause);
        if (!note.crash->address.empty()) headers.set(kFaultAddress, note.crash->address);
        if (!note.crash->backtrace.empty()) headers.set(kBacktrace, note.crash->backtrace);
        if (!note.crash->last_words.empty()) headers.set(kStderr, note.crash->last_words);
    }
    if (const auto expiration = message.properties.expiration) {
        headers.set(kExpiration, expiration->count());
        publication.message.properties.expiration.reset();
    }
    publication.message.properties.delivery_mode = 2;
    publication.message.headers = std::move(headers);
    return publication;
}

bool shorten(QuarantineNote& note) {
    constexpr std::size_t kSomeBytes = 1024;
    constexpr std::size_t kFewBytes = 64;
    const auto cut = [](std::string& text, std::size_t most) {
        if (text.size() <= most) return false;
        text.resize(most);
        return true;
    };
    for (const std::size_t most : {kSomeBytes, std::size_t{0}}) {
        if (!note.crash) break;
        CrashReport shorter = *note.crash;
        const bool cut_stack = cut(shorter.backtrace, most);
        if (!cut(shorter.last_words, most) && !cut_stack) continue;
        note.crash = std::make_shared<const CrashReport>(std::move(shorter));
        return true;
    }
    return cut(note.detail, kFewBytes) || cut(note.detail, 0);
}

std::optional<QuarantineNote> read_note(const Message& message) {
    const Json headers = header_object(message);
    if (headers.find(kReason) == nullptr) return std::nullopt;
    QuarantineNote note;
    note.reason = text_of(headers, kReason);
    note.detail = text_of(headers, kDetail);
    note.queue = text_of(headers, kQueue);
    note.worker = text_of(headers, kWorker);
    if (auto time = parse_iso8601(text_of(headers, kTime))) note.time = *time;
    if (headers.find(kCause) != nullptr) {
        note.crash = std::make_shared<const CrashReport>(
            CrashReport{text_of(headers, kCause), text_of(headers, kFaultAddress),
                        text_of(headers, kBacktrace), text_of(headers, kStderr)});
    }
    return note;
}

Publication from_quarantine(const Message& message, const QuarantineNote& note) {
    Publication publication;
    publication.routing_key = note.queue;
    publication.any_size = true;
    publication.message = message;
    Json headers = header_object(message);
    if (const Json* expiration = headers.find(kExpiration);
        expiration != nullptr && expiration->is_integer()) {
        publication.message.properties.expiration =
            std::chrono::milliseconds{expiration->as_int64().value_or(0)};
    }
    if (auto original = headers_that_were_no_map(headers)) {
        publication.message.headers = *std::move(original);
        return publication;
    }
    for (const auto name : std::array{kReason, kDetail, kQueue, kWorker, kTime, kExpiration, kCause,
                                      kFaultAddress, kBacktrace, kStderr, kCrashesHeader}) {
        headers.erase(name);
    }
    publication.message.headers = std::move(headers);
    return publication;
}

}  // namespace lovage
