#pragma once

#include <lovage/app/client.hpp>
#include <lovage/core/canvas.hpp>

namespace lovage {

class AppCore;

/// The message of a planned call, with all that its sender knows: where it goes, the defaults of
/// the task and of the settings, who sends it.
[[nodiscard]] TaskSend prepare_planned(AppCore& core, PlannedCall call);

}  // namespace lovage
