#pragma once

#include <cstdint>

namespace lovage::chaos {

/// How a task of the name chaos.vary ends, decided by its number: one of ten takes every way out of
/// a worker that is not the usual one.
enum class Way : std::uint8_t {
    succeeds,
    crashes_once,  ///< It kills its slot the first time.
    retries_once,
    is_rejected,  ///< After its effect: its message is kept in quarantine.
    goes_on,      ///< Its chain goes on with a chord, whose body has the effect.
};

[[nodiscard]] constexpr Way way_of(std::uint32_t task) {
    switch (task % 10) {
        case 3:
            return Way::crashes_once;
        case 5:
            return Way::retries_once;
        case 7:
            return Way::is_rejected;
        case 8:
            return Way::goes_on;
        default:
            return Way::succeeds;
    }
}

}  // namespace lovage::chaos
