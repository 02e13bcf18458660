#pragma once

#include <memory>
#include <optional>
#include <string>

#include <lovage/app/async_result.hpp>
#include <lovage/app/send_options.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/signature.hpp>

/// How a canvas is sent by whoever begins it; app/canvas.hpp is the typed face.
namespace lovage::detail {

/// The end of sending a canvas.
struct SentCanvas {
    SendOutcome outcome = SendOutcome::rejected;
    std::string id;  ///< What SendOptions::task_id was, or what it became.
    Json result;     ///< What the canvas ends with, as Celery's nested tuples.
    std::optional<Error> error;
};

/// Sends what a canvas begins with: sizes of its chords first, then all messages, pipelined.
///
/// All ids are made of SendOptions::task_id (a new UUID4 when it is empty), which becomes the id of
/// what the canvas ends with: sending again with it sends the same messages. Accepted: all of them
/// are; rejected: none exists; unknown: some exist or may. Inside a task that one becomes the
/// parent.
///
/// Cancellation: none half-way; it always ends by its deadline.
[[nodiscard]] Awaitable<SentCanvas> send_canvas(const std::shared_ptr<AppCore>& core,
                                                Signature canvas, SendOptions options);
/// Throws SendError; returns `result`.
Json send_canvas_blocking(const std::shared_ptr<AppCore>& core, Signature canvas,
                          SendOptions options);

/// Lays options over a signature's own. Throws LovageError for options that cannot be.
void set_options(Signature& signature, const SendOptions& options);

/// The id in a result's tuple: `[[id, parent], members]`, `[id, members]` or the id alone. Errors:
/// malformed, too_large.
[[nodiscard]] Result<std::string> id_of_result(const Json& result);

}  // namespace lovage::detail
