# Installation rules are kept here.
