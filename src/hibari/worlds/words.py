"""The words of captions, as tables. How they become sentences is grammar.py's business.

In a verb phrase a star marks each verb, in its base form: "*drift to the left". `{way}` is the direction,
`{prop}` what stands in front.
"""

WAYS = {
    "left": ("left", "to the left", "leftwards", "towards the left", "from right to left"),
    "right": ("right", "to the right", "rightwards", "towards the right", "from left to right"),
    "up": ("up", "upwards", "upward"),
    "down": ("down", "downwards", "downward"),
    "up left": ("up and to the left", "diagonally up to the left", "towards the top left"),
    "up right": ("up and to the right", "diagonally up to the right", "towards the top right"),
    "down left": ("down and to the left", "diagonally down to the left", "towards the bottom left"),
    "down right": ("down and to the right", "diagonally down to the right", "towards the bottom right"),
}
_SIDEWAYS = (
    "*move {way}",
    "*drift {way}",
    "*glide {way}",
    "*travel {way}",
    "*slide {way}",
    "*float {way}",
    "*go {way}",
)
VERBS = {
    "still": (
        "*stay in place",
        "*stay still",
        "*remain still",
        "*remain in place",
        "*keep still",
        "*hover in place",
        "*stay on the spot",
    ),
    "left": _SIDEWAYS,
    "right": _SIDEWAYS,
    "up": ("*rise", "*ascend", "*climb", "*move {way}", "*drift {way}", "*float {way}", "*go {way}"),
    "down": ("*sink", "*descend", "*move {way}", "*drift {way}", "*float {way}", "*go {way}"),
    "diagonal": ("*move {way}", "*drift {way}", "*glide {way}", "*travel {way}"),
    "bounces": ("*bounce", "*bounce up and down", "*hop up and down", "*bounce again and again"),
    "grows": ("*grow", "*get bigger", "*become larger", "*grow larger", "*grow bigger", "*get larger"),
    "shrinks": ("*shrink", "*get smaller", "*become smaller", "*grow smaller"),
    "circles": ("*circle", "*move in a circle", "*go round in circles", "*travel in a circle", "*circle around"),
    "rolls": ("*roll {way}", "*roll along {way}", "*tumble {way}"),
    "appears": ("*appear", "*appear out of nowhere", "*pop up", "*come into view", "suddenly *appear"),
    "hides": (
        "*pass behind {prop} and *come out again",
        "*move {way} behind {prop} and *come out on the other side",
        "*disappear behind {prop} and *reappear",
        "*go behind {prop} and *come out again",
        "*drift {way}, *pass behind {prop} and *reappear",
    ),
    "collides": ("*collide", "*bump into each other", "*crash into each other", "*bounce off each other"),
}
TURNS = {"clockwise": " clockwise", "counterclockwise": " counterclockwise"}

# Where: phrases that may stand at either end of a sentence, true of every drawing of the place.
PLACES = {
    "sky": ("in the sky", "in a blue sky", "against a blue sky", "among white clouds", "up in the sky"),
    "sunset": (
        "at sunset",
        "over the ocean at sunset",
        "over the sea at sunset",
        "against the sunset",
        "as the sun sets",
    ),
    "night": ("at night", "in the night sky", "under the stars", "under a starry sky", "in the moonlight"),
    "meadow": (
        "in a meadow",
        "over a green meadow",
        "in a field of flowers",
        "over green hills",
        "in a flowery meadow",
    ),
    "desert": ("in the desert", "over the desert", "over sand dunes", "in a sandy desert", "among the dunes"),
    "ocean": ("over the ocean", "over the sea", "above the blue ocean", "at sea", "over blue water"),
    "snow": ("in the snow", "in a snowy landscape", "over snowy hills", "in winter", "over the snow"),
    "forest": ("in a forest", "in the woods", "among the trees", "in a green forest", "between tree trunks"),
    "city": ("in the city", "in a city street", "in front of tall buildings", "above a street", "in a big city"),
    "room": ("in a room", "indoors", "inside a room", "in a room with a window", "at home"),
    "meadow at sunset": ("in a meadow at sunset", "over green hills at sunset", "over a meadow as the sun sets"),
    "meadow at night": ("in a meadow at night", "over dark hills at night", "over a meadow under the stars"),
    "desert at sunset": ("in the desert at sunset", "over sand dunes at sunset", "over the desert as the sun sets"),
    "desert at night": ("in the desert at night", "over sand dunes at night", "over the desert under the stars"),
    "snow at sunset": ("in the snow at sunset", "over snowy hills at sunset", "over the snow as the sun sets"),
    "snow at night": ("in the snow at night", "over snowy hills at night", "over the snow under the stars"),
    "city at sunset": ("in the city at sunset", "above a street at sunset", "in a big city as the sun sets"),
    "city at night": ("in the city at night", "above a street at night", "in front of lit windows at night"),
    "ocean at night": ("over the ocean at night", "over the sea at night", "over dark water under the stars"),
}
PLAIN_PLACES = ("on a plain {colour} background", "against {a_colour} background", "in front of {a_colour} wall")

CAMERAS = {
    "pan left": ("the camera pans left", "the camera moves to the left", "the view pans to the left"),
    "pan right": ("the camera pans right", "the camera moves to the right", "the view pans to the right"),
    "pan up": ("the camera tilts up", "the camera moves up", "the view moves upwards"),
    "pan down": ("the camera tilts down", "the camera moves down", "the view moves downwards"),
    "zoom in": ("the camera zooms in", "the camera comes closer", "the view zooms in"),
    "zoom out": ("the camera zooms out", "the camera pulls back", "the view zooms out"),
}
WEATHERS = {
    "rain": ("in the rain", "while it rains", "on a rainy day", "in pouring rain"),
    "snowfall": ("while snow falls", "in falling snow", "as snowflakes fall", "while it snows"),
    "fog": ("in the fog", "in thick mist", "on a foggy day", "through the fog"),
}
NIGHTLY_WEATHERS = {"rain": ("in the rain", "while it rains"), "fog": ("in the fog", "in thick mist")}

RELATIONS = {
    "beside": ("to the left of", "left of", "on the left of"),
    "stacked": ("above", "over", "higher than"),
}
RELATIONS_BACK = {
    "beside": ("to the right of", "right of", "on the right of"),
    "stacked": ("below", "under", "lower than"),
}
SPOTS = {
    ("left", "top"): "in the top left",
    ("left", "middle"): "on the left",
    ("left", "bottom"): "in the bottom left",
    ("middle", "top"): "at the top",
    ("middle", "middle"): "in the middle",
    ("middle", "bottom"): "at the bottom",
    ("right", "top"): "in the top right",
    ("right", "middle"): "on the right",
    ("right", "bottom"): "in the bottom right",
}
OPENERS = ("a video of", "a clip of", "an animation of", "a short video of", "footage of")
STILL_OPENERS = ("a picture of", "an image of", "a still of")

# Other names for a thing, where no other thing in the pack could be meant.
SYNONYMS = {
    "pumpkin": ("jack-o'-lantern", "carved pumpkin"),
    "bee": ("honeybee",),
    "ladybug": ("ladybird",),
    "teddy bear": ("teddy",),
    "rocket": ("rocket ship", "space rocket"),
    "tropical fish": ("colourful fish", "tropical fish"),
    "robot": ("friendly robot",),
    "ghost": ("little ghost",),
    "penguin": ("little penguin",),
    "dinosaur": ("T-Rex",),
    "fire truck": ("fire engine",),
    "flying saucer": ("UFO",),
    "health worker": ("doctor", "medical doctor"),
    "cook": ("chef",),
    "technologist": ("programmer",),
    "construction worker": ("builder",),
    "person running": ("runner",),
    "person swimming": ("swimmer",),
    "person surfing": ("surfer",),
    "person biking": ("cyclist",),
    "person golfing": ("golfer",),
    "person climbing": ("climber",),
    "person dancing": ("dancer",),
    "person juggling": ("juggler",),
    "person lifting weights": ("weightlifter",),
}
# People whose words for a gender are not the plain ones.
GENDERED: dict[str, dict[str, tuple[str, ...]]] = {
    "child": {"woman": ("girl",), "man": ("boy",)},
    "merperson": {"woman": ("mermaid",), "man": ("merman",)},
    "person with a crown": {"woman": ("princess", "woman with a crown"), "man": ("prince", "man with a crown")},
}
GENDERS = {"woman": ("woman", "female"), "man": ("man", "male")}
NEUTRALLY = ("androgynous", "gender-neutral")
# Skin tones, after "with" and before a noun; none of them is said of two tones.
SKINS = {
    "light": ("light skin", "a light skin tone", "fair skin"),
    "medium-light": ("medium-light skin", "a medium-light skin tone", "fairly light skin"),
    "medium": ("medium skin", "a medium skin tone", "light brown skin"),
    "medium-dark": ("medium-dark skin", "a medium-dark skin tone", "brown skin"),
    "dark": ("dark skin", "a dark skin tone", "dark brown skin"),
}
SKINNED = {
    "light": ("light-skinned", "fair-skinned"),
    "medium-light": ("medium-light-skinned",),
    "medium": ("medium-skinned", "light-brown-skinned"),
    "medium-dark": ("medium-dark-skinned", "brown-skinned"),
    "dark": ("dark-skinned",),
}
ADJECTIVES = 0.3  # the share of tones said as an adjective
COLOURS = {
    "octopus": "orange",
    "crab": "pink",
    "fox": "orange",
    "frog": "green",
    "star": "yellow",
    "turtle": "green",
    "tractor": "green",
    "helicopter": "orange",
    "ladybug": "red",
    "teddy bear": "brown",
    "pumpkin": "orange",
    "unicorn": "purple",
    "parrot": "red",
    "butterfly": "orange",
    "tropical fish": "blue",
    "ghost": "white",
    "snowman": "white",
}
