#pragma once

#include <lovage/app/app.hpp>

namespace lovage::slot {

/// Serves as one slot of a prefork pool until the worker ends it. Call it from `main` when
/// is_slot(), before the app is used. Returns what `main` shall return.
///
/// The calling thread runs the tasks; a second one, the app's loop, reads the control stream.
int run_slot(App& app);

}  // namespace lovage::slot
