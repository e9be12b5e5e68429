#!/bin/bash
# The catalogue on three machines: sbatch examples/ci/slurm.sh
# Then, once all have ended, also where some failed:
#   sbatch --dependency=afterany:JOB --wrap 'holdline merge part-* --out whole'
#SBATCH --job-name=holdline
#SBATCH --array=1-3
#SBATCH --exclusive
#SBATCH --time=01:00:00
exec "${HOLDLINE_BIN:-holdline}" run "${@:-all}" -r 5 --seed 1 \
  --partition "slice:$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --out "part-$SLURM_ARRAY_TASK_ID"
