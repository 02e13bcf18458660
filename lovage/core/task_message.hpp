#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/message.hpp>
#include <lovage/core/time.hpp>

namespace lovage {

/// A call of a task as it travels: Celery's task message, protocol 2 written, 1 and 2 read
/// (celery-wire reference, sections 3 and 4).
struct TaskMessage {
    std::string id;
    std::string task;
    Json args = Json::array();     ///< A list; raw when it was decoded.
    Json kwargs = Json::object();  ///< A map; raw when it was decoded.
    /// callbacks, errbacks, chain, chord; raw when decoded from protocol 2.
    Json embed = default_embed();

    std::optional<std::string> shadow;
    std::optional<TimePoint> eta;
    std::optional<TimePoint> expires;
    std::optional<std::string> group;
    std::optional<std::int64_t> group_index;
    std::int64_t retries = 0;
    std::optional<double> time_limit;       ///< hard, seconds
    std::optional<double> soft_time_limit;  ///< seconds
    std::string root_id;                    ///< empty on encode: the id
    std::optional<std::string> parent_id;
    /// Display only, see celery_repr. Empty on encode: computed. Computed too when a message of at
    /// most 64 KiB comes without it.
    std::string argsrepr;
    std::string kwargsrepr;
    std::string origin;  ///< "gen<pid>@<host>"
    bool ignore_result = false;
    std::int64_t replaced_task_nesting = 0;
    Json stamped_headers;          ///< null or list
    Json stamps = Json::object();  ///< map

    /// Header fields that are none of Celery's own: user headers, trace context, what newer
    /// versions add. On encode they are merged in last and win.
    Json user_headers = Json::object();

    // Properties.
    std::string reply_to;
    std::string correlation_id;  ///< empty on encode: the id
    std::optional<std::uint8_t> priority;
    bool persistent = true;

    int protocol = 2;  ///< As read: 1 when the body was a map. Encode always writes 2.

    /// `{"callbacks": null, "errbacks": null, "chain": null, "chord": null}`
    [[nodiscard]] static Json default_embed();
    /// shadow when set, else task.
    [[nodiscard]] const std::string& display_name() const noexcept;

    friend bool operator==(const TaskMessage&, const TaskMessage&) = default;
};

/// Why a message cannot become a task. Wire: these texts are the `x-lovage-reason` header.
enum class BadMessage : std::uint8_t {
    unknown_message,  ///< "unknown-message": no task name anywhere
    undecodable,      ///< "undecodable": the body is not what its content type says, or not three
                      ///< elements
    content_disallowed,  ///< "content-disallowed": content type not accepted
    invalid,    ///< "invalid-message": a field has the wrong type or cannot be read (eta, no id, …)
    too_large,  ///< "too-large"
    unsupported,  ///< "unsupported": a compression this build does not know
};
[[nodiscard]] std::string_view to_string(BadMessage reason) noexcept;

struct DecodeError {
    BadMessage reason;
    std::string detail;                  ///< One line for a person: what, where, what was found.
    std::optional<std::string> task_id;  ///< When it could be read.
    std::optional<std::string> task;     ///< When it could be read.
};

struct DecodeLimits {
    JsonLimits json;  ///< of the body after decompression; of raw headers
    std::size_t body_bytes = std::size_t{16} << 20U;  ///< as received and after decompression
};

/// Longest task name and ids, in bytes: what an AMQP short string holds.
inline constexpr std::size_t kTaskIdBytesMax = 255;

/// Reads a task message: protocol 2, protocol 1, or protocol 1's body under protocol 2's headers.
/// `application/json` only, optionally compressed with zlib (Celery's "application/x-gzip").
///
/// Fields that are missing get the value encode would write for them, so that decoding what was
/// encoded gives an equal task; args, kwargs and embed are validated and kept raw. Never throws
/// on foreign input (std::bad_alloc aside).
/// Celery differs: it dies of a message without id, content type or three-element body, and runs
/// one whose kwargs are no map; all of these are errors here.
[[nodiscard]] std::expected<TaskMessage, DecodeError> decode_task_message(
    const Message& message, const DecodeLimits& limits = {});

/// Whether `task` can be encoded into a message that every worker can read: id and task are text
/// of 1 to kTaskIdBytesMax bytes, args a list, kwargs a map, and the user's headers a map that
/// leaves `id`, `task` and `compression` alone (Celery differs: it sends such a message, which then
/// is a different task or none). Errors: invalid_argument, naming what is wrong.
[[nodiscard]] Result<void> check_encodable(const TaskMessage& task);

/// Writes protocol 2 exactly as Celery 5.6 does: header order, property set, body text. The headers
/// are raw text, which brokers that keep text take as it is and which copies cheaply. With `now`,
/// a task that expires gets the `expiration` property, which makes brokers drop it unseen once it
/// is due (Celery always sets it). Asserts check_encodable.
[[nodiscard]] Message encode_task_message(const TaskMessage& task,
                                          std::optional<TimePoint> now = std::nullopt);

/// The text Celery sends as argsrepr and kwargsrepr, peculiarities included: Python's repr cut to
/// about 1,024 characters, containers from the fourth level on as `[...]`, in strings only the
/// single quote escaped. A list is written as a tuple, `(1, 'x')`, when `as_tuple`.
[[nodiscard]] std::string celery_repr(const Json& value, bool as_tuple);

}  // namespace lovage
