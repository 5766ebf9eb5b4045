#include "kernels/native/exp_row.h"

namespace modelslim {

ExpRowBF16 ArchExpRowBF16() { return nullptr; }

}  // namespace modelslim
