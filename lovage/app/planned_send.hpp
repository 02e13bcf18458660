#pragma once

#include <lovage/app/client.hpp>
#include <lovage/core/canvas.hpp>

namespace lovage {

class AppCore;

/// Completes a call's message with all that its sender knows: the defaults of the task and of the
/// settings, who sends it. Returns everything but the message: where it goes and when. The
/// signature's word comes first, then the task's, the route's, the settings' (celery-wire
/// reference, sections 3.3 and 7.4).
[[nodiscard]] TaskSend complete_planned(AppCore& core, PlannedCall& call);
/// The message of a planned call, completed and encoded.
[[nodiscard]] TaskSend prepare_planned(AppCore& core, PlannedCall call);

}  // namespace lovage
