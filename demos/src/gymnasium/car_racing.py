# Gymnasium's CarRacing on tracks of ours, observed as the scene from which our picture of it is drawn: what our car race
# observes, but for the number of the track. A lane begins with a count and so many deviates of its track, times 2^24.

LANES = int(sys.argv[2])

try:
    from gymnasium.envs.box2d import car_racing
except ImportError as error:
    missing(error, '"gymnasium[box2d]"')
except Exception as error:  # Gymnasium's own kind, which it has under several names.
    refuse(f"CarRacing needs a Python package that is missing from {sys.executable} (pip install \"gymnasium[box2d]\"): "
           f"{' '.join(str(error).split())}")

# Numbers of a scene before the tiles, and tiles of a number.
BEFORE_TILES, TILES = 18, 16
OBSERVATIONS = BEFORE_TILES + 384 // TILES


class Given:
    """Random numbers that are given: those from which a track is made."""

    def __init__(self, deviates):
        self.deviates = iter(deviates)

    def uniform(self, low, high):
        return low + (high - low) * next(self.deviates)


def race():
    # Above 1 the lap ends only with the last tile, as in the version of the paper.
    made = car_racing.CarRacing(lap_complete_percent=2.0)
    # Its picture is not looked at, and takes a hundred times as long as a step.
    made._render = lambda mode: None
    return made


def scene(race):
    hull, wheels = race.car.hull, race.car.wheels
    seen = numpy.zeros(OBSERVATIONS)
    seen[:8] = [*hull.position, hull.angle, *hull.linearVelocity, hull.angularVelocity,
                wheels[0].joint.angle, wheels[2].gas]
    seen[8:12] = [wheel.omega for wheel in wheels]
    seen[12:16] = [wheel.phase for wheel in wheels]
    seen[16] = race.t
    for tile in race.road:
        if tile.road_visited:
            seen[BEFORE_TILES + tile.idx // TILES] += 2.0 ** (tile.idx % TILES - TILES)
    return seen


def main():
    races = [race() for _ in range(LANES)]

    def reset(lane):
        races[lane].np_random = Given(words(int(words(1)[0])) / 2.0**24)
        races[lane].reset()
        return scene(races[lane])

    def step(lane, action):
        _, reward, terminated, truncated, _ = races[lane].step(action)
        return scene(races[lane]), reward, 1 if terminated else 2 if truncated else 0

    serve(LANES, OBSERVATIONS, False, 3, 1000, ("gymnasium", "Box2D", "box2d-py"), reset, step)


main()
