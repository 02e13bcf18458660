#pragma once

namespace lovage {

/// Registers the drivers of this version: `memory://` and `sqlite:///folder`. lovage::main does it;
/// programs without it call this once before the first send or read. Thread-safe.
void register_default_drivers();

}  // namespace lovage
