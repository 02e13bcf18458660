#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

namespace lovage::control {

/// Wire: the routing key under which candidates tell of themselves on the exchange of events.
inline constexpr std::string_view kElectRoutingKey = "worker.elect";

/// What a worker that never stands has to say in its neighbours' elections (Celery's gossip;
/// celery-wire reference, section 17.2). A candidate tells all workers, and waits for as many
/// acknowledgements as there are workers; whoever hears of a candidate sends one.
///
/// Celery differs: nothing is acknowledged while there is one candidate. Python's worker would
/// count up and then fail in comparing it with another.
class Elections {
public:
    /// Elections that are remembered; an older one begins anew when it is heard of again.
    static constexpr std::size_t kRemembered = 64;

    /// How many acknowledgements of `election` are due now that this candidate is heard of.
    [[nodiscard]] std::size_t heard(std::string_view election, std::string_view candidate);

private:
    struct Election {
        std::string id;
        std::string first;  ///< Candidate; acknowledged with the second one.
        bool open = false;  ///< There are two.
    };
    std::deque<Election> recent_;
};

}  // namespace lovage::control
