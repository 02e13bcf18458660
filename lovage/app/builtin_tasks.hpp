#pragma once

#include <memory>

namespace lovage {

class AppCore;

/// Gives an app the tasks that every Celery worker has and canvases are made of (celery-wire
/// reference, section 14.11): `celery.map`, `celery.starmap`, `celery.chunks`,
/// `celery.accumulate`. They are found by name, and listed nowhere.
void add_builtin_tasks(const std::shared_ptr<AppCore>& core);

}  // namespace lovage
