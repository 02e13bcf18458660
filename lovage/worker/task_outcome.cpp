#include <lovage/worker/task_outcome.hpp>

namespace lovage {

std::string_view to_string(Ending ending) noexcept {
    switch (ending) {
        case Ending::succeeded:
            return "succeeded";
        case Ending::failed:
            return "failed";
        case Ending::retry:
            return "retry";
        case Ending::replaced:
            return "replaced";
        case Ending::ignored:
            return "ignored";
        case Ending::rejected:
            return "rejected";
        case Ending::requeued:
            return "requeued";
        case Ending::revoked:
            return "revoked";
        case Ending::timed_out:
            return "timed_out";
        case Ending::slot_lost:
            return "slot_lost";
    }
    return "failed";
}

}  // namespace lovage
